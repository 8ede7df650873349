//! The types of settings: sizes, listeners, topics to create. Each reads from the one spelling that flags,
//! variables and the file share, and prints back to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A number of bytes: `1048576`, `512KiB`, `256MiB`, `1.5GiB`; `K`, `KB`, `M`, ... are powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "t" | "tb" => 1_000_000_000_000,
            "ki" | "kib" => 1 << 10,
            "mi" | "mib" => 1 << 20,
            "gi" | "gib" => 1 << 30,
            "ti" | "tib" => 1 << 40,
            _ => return Err(format!("`{}` is no unit of size; use KiB, MiB, GiB or TiB", unit.trim())),
        };
        let bytes = if number.contains('.') {
            let number: f64 = number.parse().map_err(|_| format!("`{number}` is no number"))?;
            let bytes = number * factor as f64;
            (bytes < u64::MAX as f64).then_some(bytes as u64)
        } else {
            let number: u64 = number.parse().map_err(|_| "a size is a number and a unit, such as 256MiB")?;
            number.checked_mul(factor)
        };
        bytes.map(ByteSize).ok_or_else(|| "the size is too large".to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in UNITS {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// `HOST:PORT`: an IP address (IPv6 in brackets) or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or address, without brackets.
    pub host: String,
    /// The port; 0 lets the system choose where that makes sense.
    pub port: u16,
}

impl HostPort {
    /// The address, if the host is written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether only programs of this machine can connect to it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        HostPort { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST:PORT, such as 127.0.0.1:9092 or [::1]:9092");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if host.is_empty() || host.contains(|c: char| c == ':' || c.is_whitespace() || c == '/') => {
                return Err(wrong());
            }
            None => host.to_owned(),
        };
        let port = port.parse().map_err(|_| wrong())?;
        Ok(HostPort { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where Kafka clients may come in, and the address they are told to come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// Where to listen.
    pub address: HostPort,
    /// What metadata answers to clients that came in here; `None` = the address that the connection came in by.
    pub advertise: Option<HostPort>,
}

impl FromStr for KafkaListener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default().parse()?;
        let mut advertise = None;
        for part in parts {
            match part.split_once('=') {
                Some(("advertise", value)) => {
                    let value: HostPort = value.parse()?;
                    advertise = Some(value);
                }
                _ => {
                    return Err(format!(
                        "`{part}` is no option of a listener; write ADDR,advertise=HOST:PORT"
                    ));
                }
            }
        }
        Ok(KafkaListener { address, advertise })
    }
}

impl fmt::Display for KafkaListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match &self.advertise {
            Some(advertise) => write!(f, ",advertise={advertise}"),
            None => Ok(()),
        }
    }
}

/// A topic that shall be there when the server is ready: `NAME:PARTITIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Its partitions if it has to be made, from 1.
    pub partitions: i32,
}

impl FromStr for TopicSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, partitions) =
            text.rsplit_once(':').ok_or_else(|| format!("`{text}` is not NAME:PARTITIONS"))?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
            return Err(format!("`{name}` is no topic name: 1 to 249 letters, digits, `.`, `_` or `-`"));
        }
        match partitions.parse() {
            Ok(partitions @ 1..) => Ok(TopicSpec { name: name.to_owned(), partitions }),
            _ => Err(format!("`{partitions}` is no number of partitions, from 1")),
        }
    }
}

impl fmt::Display for TopicSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.partitions)
    }
}

/// One of Kafka's own broker settings: `NAME=VALUE`. The value is checked with the others of table `[kafka]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaAssignment {
    /// Kafka's name, such as `num.partitions`.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

impl FromStr for KafkaAssignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(KafkaAssignment { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err(format!("`{text}` is not NAME=VALUE, such as num.partitions=6")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512KiB", 512 << 10),
            ("256 MiB", 256 << 20),
            ("1.5GiB", 3 << 29),
            ("2g", 2_000_000_000),
            ("10b", 10),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "x", "MiB", "1 QiB", "-1", "1.2.3MiB", "99999999999TiB", "1e30GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for (bytes, text) in [(256 << 20, "256MiB"), (1000, "1000"), (0, "0"), (3 << 29, "1536MiB")] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn addresses_read_and_print() {
        for text in ["127.0.0.1:9092", "[::1]:9092", "localhost:0", "kafka.example:29092"] {
            assert_eq!(text.parse::<HostPort>().expect(text).to_string(), text);
        }
        for text in
            ["", "9092", ":9092", "::1:9092", "[::1:9092", "[host]:1", "a:65536", "http://a:1", "a b:1"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
        let text = "0.0.0.0:29092,advertise=localhost:29092";
        assert_eq!(text.parse::<KafkaListener>().expect(text).to_string(), text);
        assert!("0.0.0.0:1,advertised=a:1".parse::<KafkaListener>().is_err());
    }

    #[test]
    fn topics_read_and_print() {
        assert_eq!("a.b:6".parse(), Ok(TopicSpec { name: "a.b".to_owned(), partitions: 6 }),);
        for text in ["a", "a:0", "a:x", ":1", "..:1", "a b:1", "a:-1"] {
            assert!(text.parse::<TopicSpec>().is_err(), "{text}");
        }
    }
}
