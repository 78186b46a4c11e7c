# docker build -f proxy/deploy/docker/xks-proxy.Dockerfile -t xks-proxy .
# Debian's C library stays in the image: PKCS#11 libraries of HSMs are made for it.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN rustup component add llvm-tools && proxy/deploy/build

FROM debian:bookworm-slim
# For `xks-proxy kms`, which calls AWS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/xks-proxy /usr/bin/xks-proxy
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/xks-proxy
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV XKS_PROXY_CONFIG=/etc/xks-proxy/xks-proxy.toml
VOLUME /var/lib/xks-proxy
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/xks-proxy"]
CMD ["serve"]
