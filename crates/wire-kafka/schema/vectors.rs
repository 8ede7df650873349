//! Values of any message as bytes, written by interpreting the schema: an implementation of the protocol that shares no
//! code with the generated one. Tests compare the generated code, Kafka's own classes and crate `kafka-protocol` with it.
//!
//! What comes out is canonical (tagged fields ascend and differ from their defaults), so that whoever reads it and writes
//! it again has to arrive at the same bytes.

use super::notation::{Field, Message, Struct, Type};

/// A message of random content in one version, the same for the same seed. Seed 0 gives short arrays and no nulls.
pub fn vector(message: &Message, version: i16, seed: u64) -> Vec<u8> {
    let mut writer = Writer {
        message,
        version,
        flexible: version >= message.flexible,
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ version as u64,
        plain: seed == 0,
    };
    let mut out = Vec::new();
    writer.put_struct(&message.structs[0], 0, &mut out);
    out
}

struct Writer<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
    random: u64,
    plain: bool,
}

impl Writer<'_> {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn put_struct(&mut self, one: &Struct, depth: u64, out: &mut Vec<u8>) {
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) = one
            .fields
            .iter()
            .filter(|field| field.versions.contains(self.version))
            .partition(|f| f.tag.is_some());
        for field in plain {
            self.put_field(field, depth, out);
        }
        if !self.flexible {
            return;
        }
        let mut present = Vec::new();
        for field in tagged {
            let mut value = Vec::new();
            self.put_field(field, depth, &mut value);
            let mut default = Vec::new();
            self.put_default(field, &mut default);
            if value != default && (self.plain || self.below(4) > 0) {
                present.push((field.tag.expect("a tagged field"), value));
            }
        }
        present.sort();
        put_uvarint(present.len() as u64, out);
        for (tag, value) in present {
            put_uvarint(u64::from(tag), out);
            put_uvarint(value.len() as u64, out);
            out.extend(value);
        }
    }

    fn put_field(&mut self, field: &Field, depth: u64, out: &mut Vec<u8>) {
        let nullable = field.nullable.contains(self.version);
        let null = nullable && !self.plain && self.below(4) == 0;
        if field.array {
            if null {
                return self.put_length(&Type::Bytes, None, out);
            }
            let count = if self.plain { 1 } else { self.below(4u64.saturating_sub(depth).max(2)) };
            self.put_length(&Type::Bytes, Some(count), out);
            for _ in 0..count {
                self.put_value(&field.ty, depth + 1, out);
            }
            return;
        }
        match &field.ty {
            Type::String | Type::Bytes | Type::Records if null => self.put_length(&field.ty, None, out),
            Type::Struct(_) if null => out.push(0xff),
            Type::Struct(_) if nullable => {
                out.push(1);
                self.put_value(&field.ty, depth, out);
            }
            ty => self.put_value(ty, depth, out),
        }
    }

    fn put_value(&mut self, ty: &Type, depth: u64, out: &mut Vec<u8>) {
        let bytes = match ty {
            Type::Bool => 0,
            Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 => 4,
            Type::Int64 => 8,
            Type::Uuid => 16,
            Type::Float64 => return out.extend((self.next() as i32 as f64 / 8.0).to_be_bytes()),
            Type::Struct(name) => return self.put_struct(self.message.find(name), depth, out),
            Type::String | Type::Bytes | Type::Records => {
                // Long enough now and then for a length of two bytes.
                let length = if self.below(16) == 0 { 120 + self.below(30) } else { self.below(12) };
                self.put_length(ty, Some(length), out);
                if *ty == Type::String && length > 4 && self.below(4) == 0 {
                    let wide = "\u{e9}".repeat(length as usize / 2) + if length % 2 == 1 { "x" } else { "" };
                    return out.extend(wide.as_bytes());
                }
                for _ in 0..length {
                    let byte = self.next() as u8;
                    out.push(if *ty == Type::String { b'a' + byte % 26 } else { byte });
                }
                return;
            }
        };
        if bytes == 0 {
            return out.push(self.below(2) as u8);
        }
        for _ in 0..bytes {
            let byte = self.next() as u8;
            out.push(byte);
        }
    }

    /// The bytes of a tagged field's default.
    fn put_default(&mut self, field: &Field, out: &mut Vec<u8>) {
        let number: i64 = field.default.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        match &field.ty {
            _ if field.default.as_deref() == Some("null") => self.put_length(&field.ty, None, out),
            _ if field.array => self.put_length(&Type::Bytes, Some(0), out),
            Type::Bool => out.push(u8::from(field.default.as_deref() == Some("true"))),
            Type::Int8 => out.extend((number as i8).to_be_bytes()),
            Type::Int16 | Type::Uint16 => out.extend((number as i16).to_be_bytes()),
            Type::Int32 => out.extend((number as i32).to_be_bytes()),
            Type::Int64 => out.extend(number.to_be_bytes()),
            Type::Float64 => out.extend([0; 8]),
            Type::Uuid => out.extend([0; 16]),
            Type::String | Type::Bytes | Type::Records => self.put_length(&field.ty, Some(0), out),
            Type::Struct(name) => {
                for inner in &self.message.find(name).fields {
                    if inner.versions.contains(self.version) {
                        self.put_default(inner, out);
                    }
                }
                out.push(0);
            }
        }
    }

    fn put_length(&self, ty: &Type, length: Option<u64>, out: &mut Vec<u8>) {
        match (self.flexible, ty) {
            (true, _) => put_uvarint(length.map_or(0, |n| n + 1), out),
            (false, Type::String) => out.extend(length.map_or(-1, |n| n as i16).to_be_bytes()),
            (false, _) => out.extend(length.map_or(-1, |n| n as i32).to_be_bytes()),
        }
    }
}

fn put_uvarint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
