//! The PROXY protocol, version 2: how a load balancer says for whom it connects.
//!
//! Only peers that are named may say so, and those have to: a header that is missing or malformed ends the connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Reads a header, and no byte beyond it. `None` if the peer connects for itself, as for a health check.
///
/// # Errors
/// `InvalidData` for anything but a header of version 2 for TCP, and what reading fails with.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; 16];
    stream.read_exact(&mut start).await?;
    let [signature @ .., command, family, high, low] = start;
    if signature != SIGNATURE {
        return Err(malformed("no header of the PROXY protocol, version 2"));
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_LEN {
        return Err(malformed("a header of the PROXY protocol that is too long"));
    }
    let mut rest = vec![0; len];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        (LOCAL, _) => Ok(None),
        (PROXY, TCP4) => match rest.first_chunk::<12>() {
            Some([a, b, c, d, _, _, _, _, high, low, ..]) => {
                let address = Ipv4Addr::new(*a, *b, *c, *d);
                Ok(Some(source(address.into(), [*high, *low])))
            }
            None => Err(malformed(
                "a header of the PROXY protocol without addresses",
            )),
        },
        (PROXY, TCP6) => match (rest.first_chunk::<16>(), rest.get(32..36)) {
            (Some(address), Some([high, low, ..])) => {
                let address = Ipv6Addr::from(*address);
                Ok(Some(source(address.into(), [*high, *low])))
            }
            _ => Err(malformed(
                "a header of the PROXY protocol without addresses",
            )),
        },
        _ => Err(malformed(
            "a header of the PROXY protocol for something else than TCP",
        )),
    }
}

fn source(address: IpAddr, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), u16::from_be_bytes(port))
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Addresses take 36 bytes; what load balancers add, such as the id of a VPC endpoint, some tens.
const MAX_LEN: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from the bytes, and how many are left.
    fn read_from(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, usize) {
        let executor = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        executor.block_on(async {
            let mut rest = bytes;
            (read(&mut rest).await, rest.len())
        })
    }

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    #[test]
    fn the_source_is_read_and_what_follows_is_left() {
        // The example of section 2.2 in words: 192.0.2.1 port 49152 to 198.51.100.2 port 443.
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0, 1, 0xbb];
        let v6 = [
            &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()[..],
            &"2001:db8::2".parse::<Ipv6Addr>().unwrap().octets(),
            &[0xc0, 0, 1, 0xbb],
        ]
        .concat();
        // Type, length and value of a VPC endpoint's id.
        let more = [&[0xea, 0, 5, 1][..], b"vpce"].concat();
        for (command, family, rest, expected) in [
            (0x21, 0x11, v4.to_vec(), Some("192.0.2.1:49152")),
            (
                0x21,
                0x11,
                [&v4[..], &more].concat(),
                Some("192.0.2.1:49152"),
            ),
            (0x21, 0x21, v6.clone(), Some("[2001:db8::1]:49152")),
            (0x21, 0x21, [v6, more].concat(), Some("[2001:db8::1]:49152")),
            (0x20, 0x00, vec![], None),
            (0x20, 0x11, v4.to_vec(), None),
        ] {
            let bytes = [header(command, family, &rest), b"TLS".to_vec()].concat();
            let (found, left) = read_from(&bytes);
            assert_eq!(found.unwrap(), expected.map(|text| text.parse().unwrap()));
            assert_eq!(left, 3);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0, 1, 0xbb];
        let mut long = header(0x21, 0x11, &v4);
        long[14..16].copy_from_slice(&[0xff, 0xff]);
        for bytes in [
            b"".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 443\r\n".to_vec(),
            vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0],
            header(0x21, 0x11, &v4[..11]),
            header(0x21, 0x21, &v4),
            // UDP, Unix sockets, unspecified; version 1; a command that there is not.
            header(0x21, 0x12, &v4),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x00, &v4),
            header(0x11, 0x11, &v4),
            header(0x22, 0x11, &v4),
            header(0x21, 0x11, &v4)[..20].to_vec(),
            long,
        ] {
            assert!(read_from(&bytes).0.is_err(), "{bytes:?}");
        }
    }
}
