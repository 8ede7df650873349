//! Reads the notation of `schema/*.kolk`: every client-facing Kafka message, one field a line.
//!
//! ```text
//! # comment
//! api 1 Fetch 0-18 flexible 12+          key, name, versions, first version with compact lengths and tags
//! request                                ("none" = never; "unstable 6" = version 6 is not offered to clients)
//!   ReplicaId      int32          0-14  =-1
//!   ReplicaState   ReplicaState   15+   #1
//!     ReplicaEpoch int64          15+   =-1
//! response
//!   Topics         []Topic?7+     0+    ~
//! struct Topic                           a struct that several fields of the message above share
//! data Name 0-3 flexible none            a message of its own, without an API
//! ```
//!
//! A field reads: name, type, versions in which it exists, flags. Deeper lines are the fields of the struct that the type
//! names. Types: `bool int8 int16 uint16 int32 int64 float64 uuid string bytes records`, a struct's name, `[]` of any of
//! these. Flags:
//!
//! | flag | says |
//! |---|---|
//! | `?` after the type | may be null in every version that has it; `?7+`: from version 7 on |
//! | `#1` | a tagged field with tag 1 (KIP-482); absent when it equals its default |
//! | `=x` | the default, where it is not zero, false, empty or (records) null |
//! | `~` | ignorable: a value is dropped silently in versions that lack the field; without it that is an error |
//!
//! This file is included by the code generator (`cargo xtask codegen`) and by the tests, which interpret the schema.

use std::fmt;

/// A closed range of versions; `max` is `i16::MAX` where the notation says `3+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { min: 0, max: -1 };

    pub fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    pub fn is_none(self) -> bool {
        self.max < self.min
    }

    pub fn parse(text: &str) -> Option<Versions> {
        if text == "none" {
            return Some(Versions::NONE);
        }
        if let Some(min) = text.strip_suffix('+') {
            return Some(Versions { min: min.parse().ok()?, max: i16::MAX });
        }
        match text.split_once('-') {
            Some((min, max)) => Some(Versions { min: min.parse().ok()?, max: max.parse().ok()? }),
            None => text.parse().ok().map(|only| Versions { min: only, max: only }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub array: bool,
    pub versions: Versions,
    /// Versions in which null is a legal value; [`Versions::NONE`] when in none.
    pub nullable: Versions,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub ignorable: bool,
}

impl Field {
    pub fn is_nullable(&self) -> bool {
        !self.nullable.is_none()
    }
}

#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    pub fields: Vec<Field>,
}

/// One message: its own fields are those of the first struct.
#[derive(Clone, Debug)]
pub struct Message {
    pub name: String,
    pub versions: Versions,
    /// First flexible version; `i16::MAX` when there is none.
    pub flexible: i16,
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn find(&self, name: &str) -> &Struct {
        self.structs
            .iter()
            .find(|s| s.name == name)
            .unwrap_or_else(|| panic!("{}: no struct {name}", self.name))
    }
}

#[derive(Clone, Debug)]
pub struct Api {
    pub key: i16,
    pub name: String,
    pub versions: Versions,
    pub flexible: i16,
    /// Highest version that clients may be told about.
    pub stable_max: i16,
    pub request: Message,
    pub response: Message,
}

#[derive(Default)]
pub struct Schema {
    pub apis: Vec<Api>,
    pub data: Vec<Message>,
}

/// What does not read, and where.
#[derive(Debug)]
pub struct Unreadable {
    pub line: usize,
    pub text: String,
    pub why: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {:?}", self.line, self.why, self.text)
    }
}

impl std::error::Error for Unreadable {}

impl Schema {
    /// Reads one file and adds what it holds.
    pub fn add(&mut self, text: &str) -> Result<(), Unreadable> {
        // The structs whose fields may come next, outermost first: an indent of 2n belongs to the n-th.
        let mut open: Vec<String> = Vec::new();
        let mut current: Option<Target> = None;
        for (index, line) in text.lines().enumerate() {
            let fail = |why| Unreadable { line: index + 1, text: line.to_owned(), why };
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.is_empty() || words[0].starts_with('#') {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            if indent == 0 {
                match words.as_slice() {
                    ["api", key, name, versions, "flexible", flexible, rest @ ..] => {
                        let versions = Versions::parse(versions).ok_or_else(|| fail("versions"))?;
                        let flexible = Versions::parse(flexible).ok_or_else(|| fail("flexible"))?;
                        let flexible = if flexible.is_none() { i16::MAX } else { flexible.min };
                        let stable_max = match rest {
                            [] => versions.max,
                            ["unstable", v] => v.parse::<i16>().map_err(|_| fail("unstable"))? - 1,
                            _ => return Err(fail("header")),
                        };
                        let message = |suffix| Message {
                            name: format!("{name}{suffix}"),
                            versions,
                            flexible,
                            structs: vec![],
                        };
                        self.apis.push(Api {
                            key: key.parse().map_err(|_| fail("key"))?,
                            name: (*name).to_owned(),
                            versions,
                            flexible,
                            stable_max,
                            request: message("Request"),
                            response: message("Response"),
                        });
                        current = None;
                    }
                    ["data", name, versions, "flexible", flexible] => {
                        let flexible = Versions::parse(flexible).ok_or_else(|| fail("flexible"))?;
                        self.data.push(Message {
                            name: (*name).to_owned(),
                            versions: Versions::parse(versions).ok_or_else(|| fail("versions"))?,
                            flexible: if flexible.is_none() { i16::MAX } else { flexible.min },
                            structs: vec![],
                        });
                        current = Some(Target::Data);
                        self.open_struct(current, name, &mut open).ok_or_else(|| fail("struct"))?;
                    }
                    ["request" | "response"] => {
                        let request = words[0] == "request";
                        current = Some(if request { Target::Request } else { Target::Response });
                        let api = self.apis.last().ok_or_else(|| fail("no api above"))?;
                        let name = if request { api.request.name.clone() } else { api.response.name.clone() };
                        self.open_struct(current, &name, &mut open).ok_or_else(|| fail("struct"))?;
                    }
                    ["struct", name] => {
                        self.open_struct(current, name, &mut open).ok_or_else(|| fail("struct"))?;
                    }
                    _ => return Err(fail("header")),
                }
                continue;
            }
            let depth = indent / 2;
            if indent % 2 != 0 || depth > open.len() {
                return Err(fail("indent"));
            }
            open.truncate(depth);
            let field = parse_field(&words).ok_or_else(|| fail("field"))?;
            let message = self.target(current).ok_or_else(|| fail("no message above"))?;
            let owner = &open[depth - 1];
            let Some(at) = message.structs.iter().position(|s| s.name == *owner) else {
                return Err(fail("owner"));
            };
            let inner = match &field.ty {
                Type::Struct(name) => name.clone(),
                _ => String::new(),
            };
            message.structs[at].fields.push(field);
            open.push(inner.clone());
            // Declared by the deeper lines, if there are any, or by a `struct` line.
            if !inner.is_empty() && next_is_deeper(text, index, indent) {
                if message.structs.iter().any(|s| s.name == inner) {
                    return Err(fail("struct declared twice"));
                }
                message.structs.push(Struct { name: inner, fields: vec![] });
            }
        }
        Ok(())
    }

    fn target(&mut self, target: Option<Target>) -> Option<&mut Message> {
        match target? {
            Target::Request => self.apis.last_mut().map(|api| &mut api.request),
            Target::Response => self.apis.last_mut().map(|api| &mut api.response),
            Target::Data => self.data.last_mut(),
        }
    }

    fn open_struct(&mut self, target: Option<Target>, name: &str, open: &mut Vec<String>) -> Option<()> {
        let message = self.target(target)?;
        message.structs.push(Struct { name: name.to_owned(), fields: vec![] });
        *open = vec![name.to_owned()];
        Some(())
    }
}

#[derive(Clone, Copy)]
enum Target {
    Request,
    Response,
    Data,
}

fn next_is_deeper(text: &str, index: usize, indent: usize) -> bool {
    text.lines().nth(index + 1).is_some_and(|next| next.len() - next.trim_start().len() > indent)
}

fn parse_field(words: &[&str]) -> Option<Field> {
    let [name, ty, versions, flags @ ..] = words else { return None };
    let versions = Versions::parse(versions)?;
    let (ty, nullable) = match ty.split_once('?') {
        None => (*ty, Versions::NONE),
        Some((ty, "")) => (ty, versions),
        Some((ty, range)) => (ty, Versions::parse(range)?),
    };
    let (ty, array) = match ty.strip_prefix("[]") {
        Some(element) => (element, true),
        None => (ty, false),
    };
    let ty = match ty {
        "bool" => Type::Bool,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Type::Struct(name.to_owned()),
        _ => return None,
    };
    let (mut tag, mut default, mut ignorable) = (None, None, false);
    for flag in flags {
        match flag.split_at(1) {
            ("#", number) => tag = Some(number.parse().ok()?),
            ("=", value) => default = Some(value.to_owned()),
            ("~", "") => ignorable = true,
            _ => return None,
        }
    }
    Some(Field { name: (*name).to_owned(), ty, array, versions, nullable, tag, default, ignorable })
}
