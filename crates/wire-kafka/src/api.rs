//! Which APIs there are and in which versions: [`ApiKey`].

macro_rules! keys {
    ($($name:ident = $key:literal, $min:literal, $max:literal, $stable:literal, $flexible:expr,
        $module:ident::{$request:ident, $response:ident};)*) => {
        /// A client-facing API of Kafka 4.4.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[allow(missing_docs, reason = "the names are Kafka's")]
        pub enum ApiKey { $($name = $key,)* }

        impl ApiKey {
            /// All of them, ascending by key.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name,)*];

            /// The API with this key.
            pub const fn from_key(key: i16) -> Option<ApiKey> {
                match key {
                    $($key => Some(ApiKey::$name),)*
                    _ => None,
                }
            }

            const fn facts(self) -> Facts {
                match self {
                    $(ApiKey::$name => Facts {
                        name: stringify!($name), min: $min, max: $max, stable: $stable, flexible: $flexible,
                    },)*
                }
            }
        }
    };
}

struct Facts {
    name: &'static str,
    min: i16,
    max: i16,
    stable: i16,
    flexible: i16,
}

for_each_api!(keys);

impl ApiKey {
    /// The number on the wire.
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `OffsetForLeaderEpoch`.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// First version that this crate reads and writes, the ones that Kafka 4.0 removed included (KIP-896).
    pub const fn min_version(self) -> i16 {
        self.facts().min
    }

    /// Last version that a client may be told about. The codec may know one more, which Kafka itself still calls unstable
    /// (`InitProducerId` 6).
    pub const fn max_version(self) -> i16 {
        self.facts().stable
    }

    /// Last version that the codec knows.
    pub const fn max_version_known(self) -> i16 {
        self.facts().max
    }

    /// Whether the codec knows the version.
    pub const fn knows(self, version: i16) -> bool {
        self.min_version() <= version && version <= self.max_version_known()
    }

    /// Whether the version has compact lengths and tagged fields (KIP-482).
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.facts().flexible
    }

    /// Version of the request's header: 2 when flexible, else 1. (Version 0 belonged to ControlledShutdown alone.)
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the response's header: 1 when flexible, else 0; always 0 for ApiVersions, which a client has to read
    /// before it knows what the broker speaks (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && !matches!(self, ApiKey::ApiVersions) { 1 } else { 0 }
    }
}
