# docker build -f proxy/deploy/docker/kms-sim.Dockerfile -t kms-sim .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN rustup component add llvm-tools && proxy/deploy/build

FROM debian:bookworm-slim
# The authorities that a proxy with a public certificate is checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/kms-sim /usr/bin/kms-sim
USER 65532:65532
EXPOSE 4599
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/kms-sim"]
CMD ["serve", "--listen", "0.0.0.0:4599"]
