//! Networks of IP addresses, as `10.0.0.0/8` or `fd00::/8`; an address alone is a network of one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether it has the address. An IPv4 address that came in through an IPv6 socket is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        first_bits(self.address, self.bits) == first_bits(address.to_canonical(), self.bits)
    }
}

impl TryFrom<&str> for Network {
    type Error = InvalidNetwork;

    /// Bits beyond the prefix have to be zero, since whoever wrote others meant something else.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            None => width,
            Some(bits) if digits(bits) => bits.parse().map_err(|_| InvalidNetwork)?,
            Some(_) => return Err(InvalidNetwork),
        };
        if bits > width || first_bits(address, bits) != Some(address) {
            return Err(InvalidNetwork);
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The text names no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidNetwork;

/// The address with its other bits zero; `None` if it has not so many.
pub(super) fn first_bits(address: IpAddr, bits: u8) -> Option<IpAddr> {
    let bits = u32::from(bits);
    Some(match address {
        IpAddr::V4(address) => {
            let others = u32::MAX.checked_shr(bits).unwrap_or(0);
            (bits <= 32).then_some(Ipv4Addr::from_bits(address.to_bits() & !others).into())?
        }
        IpAddr::V6(address) => {
            let others = u128::MAX.checked_shr(bits).unwrap_or(0);
            (bits <= 128).then_some(Ipv6Addr::from_bits(address.to_bits() & !others).into())?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_with_its_bits() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let contains = Network::try_from(network)
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(contains, expected, "{network} {address}");
        }
        for bad in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "localhost",
            "10.0.0",
        ] {
            assert_eq!(Network::try_from(bad), Err(InvalidNetwork), "{bad}");
        }
    }
}
