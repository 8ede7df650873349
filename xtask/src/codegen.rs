//! `cargo xtask codegen [--check]`: Kafka's messages in Rust, from our own notation.
//!
//! Reads `crates/wire-kafka/schema/*.kolk` (how a line reads: `schema/notation.rs`, which this module includes) and writes
//! `crates/wire-kafka/src/messages/`, one file per API and a `mod.rs` with the list of all. The result is checked in, so
//! that a reader, an editor and `cargo doc` see it and a build needs no generator; `--check` tells whether it is current.
//!
//! Generated code holds what differs between messages and nothing else: a struct with the fields of all versions, and
//! for each struct one `get` and one `put` that ask the version field by field. Everything else is in `codec.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};

#[path = "../../crates/wire-kafka/schema/notation.rs"]
#[allow(dead_code)]
mod notation;

use notation::{Api, Field, Message, Schema, Struct, Type, Versions};

/// Writes the generated files below `root` (the workspace), or with `check` fails when they differ.
pub fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let crate_dir = root.join("crates/wire-kafka");
    let schema = read(&crate_dir.join("schema"))?;
    let files = render(&schema)?;
    let dir = crate_dir.join("src/messages");
    let mut stale = Vec::new();
    for (name, text) in &files {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        if check {
            stale.push(name.clone());
        } else {
            std::fs::create_dir_all(&dir)?;
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
    }
    for entry in std::fs::read_dir(&dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            if check {
                stale.push(name);
            } else {
                std::fs::remove_file(dir.join(name))?;
            }
        }
    }
    if !stale.is_empty() {
        bail!("not what the schema says, run `cargo xtask codegen`: {}", stale.join(", "));
    }
    Ok(())
}

fn read(dir: &Path) -> anyhow::Result<Schema> {
    let mut schema = Schema::default();
    let mut paths: Vec<_> =
        std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "kolk")) {
        let text = std::fs::read_to_string(path)?;
        schema.add(&text).with_context(|| path.display().to_string())?;
    }
    schema.apis.sort_by_key(|api| api.key);
    Ok(schema)
}

const HEAD: &str = "// Written by `cargo xtask codegen` from crates/wire-kafka/schema. Do not edit.\n";

/// File name to text.
fn render(schema: &Schema) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut index = String::from(HEAD);
    index.push_str(
        "//! The messages of every client-facing API, a module each. Fields carry Kafka's names in snake case;\n\
         //! a field that some versions lack says which have it.\n\
         //!\n\
         //! Written by `cargo xtask codegen`.\n\n",
    );
    let mut modules: Vec<String> = Vec::new();
    let mut rows = String::new();
    for api in &schema.apis {
        let module = snake(&api.name);
        files.insert(format!("{module}.rs"), api_file(api)?);
        let flexible =
            if api.flexible == i16::MAX { "i16::MAX".to_owned() } else { api.flexible.to_string() };
        writeln!(
            rows,
            "            {} = {}, {}, {}, {}, {flexible}, {module}::{{{}, {}}};",
            api.name,
            api.key,
            api.versions.min,
            api.versions.max,
            api.stable_max,
            api.request.name,
            api.response.name
        )?;
        modules.push(module);
    }
    for message in &schema.data {
        let module = snake(&message.name);
        let mut text = format!(
            "{HEAD}//! {}, versions {}.\n\n#![allow(clippy::all, unused_imports, missing_docs)]\n\nuse super::prelude::*;\n",
            message.name,
            span(message.versions)
        );
        message_code(&mut text, message)?;
        files.insert(format!("{module}.rs"), text);
        modules.push(module);
    }
    modules.sort();
    for module in &modules {
        writeln!(index, "pub mod {module};")?;
    }
    index.push_str(
        "\nmod prelude {\n    pub(super) use crate::codec::{\n        DecodeError, Decoder, Encoder, Message, Request, Wire, nullable_structs,\n    };\n    \
         pub(super) use crate::{ApiKey, Records, Str};\n    pub(super) use bytes::Bytes;\n    pub(super) use uuid::Uuid;\n}\n\n\
         /// Calls a macro with a row per API: `Name = key, first version, last version, last version told to clients,\n\
         /// first flexible version, module::{request, response};`.\n#[doc(hidden)]\n#[macro_export]\nmacro_rules! for_each_api {\n    ($m:ident) => {\n        $m! {\n",
    );
    index.push_str(&rows);
    index.push_str("        }\n    };\n}\n");
    files.insert("mod.rs".to_owned(), index);
    Ok(files)
}

fn api_file(api: &Api) -> anyhow::Result<String> {
    let mut text = format!(
        "{HEAD}//! {} (key {}), versions {}{}.\n\n#![allow(clippy::all, unused_imports, missing_docs)]\n\nuse super::prelude::*;\n",
        api.name,
        api.key,
        span(api.versions),
        match api.flexible {
            i16::MAX => String::new(),
            from => format!(", flexible from {from}"),
        }
    );
    message_code(&mut text, &api.request)?;
    write!(
        text,
        "\nimpl Request for {} {{\n    const KEY: ApiKey = ApiKey::{};\n    type Response = {};\n}}\n",
        api.request.name, api.name, api.response.name
    )?;
    message_code(&mut text, &api.response)?;
    Ok(text)
}

fn span(versions: Versions) -> String {
    match (versions.min, versions.max) {
        (min, max) if min == max => min.to_string(),
        (min, i16::MAX) => format!("{min}+"),
        (min, max) => format!("{min}-{max}"),
    }
}

fn message_code(out: &mut String, message: &Message) -> anyhow::Result<()> {
    let flexible = match message.flexible {
        i16::MAX => "i16::MAX".to_owned(),
        from => from.to_string(),
    };
    for (at, one) in message.structs.iter().enumerate() {
        struct_code(out, message, one)?;
        if at == 0 {
            write!(
                out,
                "\nimpl Message for {0} {{\n    const NAME: &'static str = \"{0}\";\n    const VERSIONS: (i16, i16) = ({1}, {2});\n    \
                 const FLEXIBLE: i16 = {flexible};\n}}\n",
                message.name, message.versions.min, message.versions.max
            )?;
        }
    }
    let nullable: Vec<&str> = message
        .structs
        .iter()
        .filter(|s| {
            let is_it = |f: &Field| !f.array && f.is_nullable() && f.ty == Type::Struct(s.name.clone());
            message.structs.iter().any(|owner| owner.fields.iter().any(is_it))
        })
        .map(|s| s.name.as_str())
        .collect();
    if !nullable.is_empty() {
        write!(out, "\nnullable_structs!({});\n", nullable.join(" "))?;
    }
    Ok(())
}

fn struct_code(out: &mut String, message: &Message, one: &Struct) -> anyhow::Result<()> {
    let name = &one.name;
    let derived = one.fields.iter().all(default_is_trivial);
    let derive_default = if derived { "Default, " } else { "" };
    write!(out, "\n#[derive(Debug, Clone, {derive_default}PartialEq)]\npub struct {name} {{\n")?;
    for field in &one.fields {
        if covers(field.versions, message.versions).is_some() {
            writeln!(out, "    /// Versions {}.", span(field.versions))?;
        }
        writeln!(out, "    pub {}: {},", ident(field), rust_type(field))?;
    }
    out.push_str("}\n");
    if !derived {
        write!(out, "\nimpl Default for {name} {{\n    fn default() -> Self {{\n        Self {{\n")?;
        for field in &one.fields {
            writeln!(out, "            {}: {},", ident(field), default_value(field)?)?;
        }
        out.push_str("        }\n    }\n}\n");
    }

    let get_tag: Vec<&Field> = one.fields.iter().filter(|f| f.tag.is_some()).collect();
    let flexible_ever = message.flexible <= message.versions.max;
    let size_min = (message.versions.min..=message.versions.max)
        .map(|v| size_min(message, one, v, 0))
        .min()
        .context("a message without versions")?;
    write!(
        out,
        "\nimpl Wire for {name} {{\n    const SIZE_MIN: usize = {size_min};\n\n    fn get(d: &mut Decoder) -> Result<Self, DecodeError> {{\n        \
         let mut m = Self::default();\n"
    )?;
    for field in one.fields.iter().filter(|f| f.tag.is_none()) {
        let read = match covers(field.nullable, field.versions) {
            Some(when) if field.is_nullable() => {
                format!("if {} {{ d.get()? }} else {{ d.required()? }}", when.replace('@', "d"))
            }
            _ => "d.get()?".to_owned(),
        };
        let set = format!("m.{} = {read};", ident(field));
        match covers(field.versions, message.versions) {
            None => writeln!(out, "        {set}")?,
            Some(when) => {
                write!(out, "        if {} {{\n            {set}\n        }}\n", when.replace('@', "d"))?;
            }
        }
    }
    if flexible_ever && get_tag.is_empty() {
        out.push_str("        d.skip_tags()?;\n");
    } else if flexible_ever {
        out.push_str("        let mut tags = d.tags()?;\n        while let Some(tag) = d.tag(&mut tags)? {\n            match tag {\n");
        for field in &get_tag {
            let guard =
                match covers(field.versions, Versions { min: message.flexible, max: message.versions.max }) {
                    None => String::new(),
                    Some(when) => format!(" if {}", when.replace('@', "d")),
                };
            writeln!(
                out,
                "                {}{guard} => m.{} = d.get()?,",
                field.tag.context("tag")?,
                ident(field)
            )?;
        }
        out.push_str("                _ => d.skip_tag(&tags),\n            }\n        }\n");
    }
    out.push_str("        Ok(m)\n    }\n\n    fn put(&self, e: &mut Encoder) {\n");
    for field in one.fields.iter().filter(|f| f.tag.is_none()) {
        let id = ident(field);
        let plain = plain_ident(field);
        let write_it = match covers(field.nullable, field.versions) {
            Some(when) if field.is_nullable() => format!(
                "if {} {{\n            e.put(&self.{id});\n        }} else {{\n            e.required(\"{plain}\", &self.{id});\n        }}",
                when.replace('@', "e")
            ),
            _ => format!("e.put(&self.{id});"),
        };
        match covers(field.versions, message.versions) {
            None => writeln!(out, "        {write_it}")?,
            Some(when) => {
                write!(out, "        if {} {{\n            {write_it}\n        }}", when.replace('@', "e"))?;
                if field.ignorable {
                    out.push('\n');
                } else {
                    write!(
                        out,
                        " else {{\n            e.absent(\"{plain}\", {});\n        }}\n",
                        is_default(field)?
                    )?;
                }
            }
        }
    }
    for field in &get_tag {
        if !field.ignorable
            && let Some(when) = covers(field.versions, message.versions)
        {
            write!(
                out,
                "        if !({}) {{\n            e.absent(\"{}\", {});\n        }}\n",
                when.replace('@', "e"),
                plain_ident(field),
                is_default(field)?
            )?;
        }
    }
    if flexible_ever {
        out.push_str("        e.tags(&[");
        for field in &get_tag {
            let mut present = format!("!{}", paren(&is_default(field)?));
            if let Some(when) =
                covers(field.versions, Versions { min: message.flexible, max: message.versions.max })
            {
                present = format!("{} && {present}", when.replace('@', "e"));
            }
            write!(out, "\n            ({}, {present}, &self.{}),", field.tag.context("tag")?, ident(field))?;
        }
        if !get_tag.is_empty() {
            out.push_str("\n        ");
        }
        out.push_str("]);\n");
    } else if one.fields.is_empty() {
        out.push_str("        let _ = e;\n");
    }
    out.push_str("    }\n");
    error_codes(out, message, one);
    out.push_str("}\n");
    Ok(())
}

/// Whether a value of the struct, or one inside of it, carries an error code.
fn has_error_code(message: &Message, one: &Struct) -> bool {
    one.fields.iter().any(|field| is_error_code(field) || inner(message, field).is_some())
}

fn is_error_code(field: &Field) -> bool {
    field.ty == Type::Int16 && !field.array && ident(field) == "error_code"
}

/// The struct that a field consists of, if it carries error codes.
fn inner<'a>(message: &'a Message, field: &Field) -> Option<&'a Struct> {
    let Type::Struct(name) = &field.ty else { return None };
    message.structs.iter().find(|inner| inner.name == *name).filter(|inner| has_error_code(message, inner))
}

fn error_codes(out: &mut String, message: &Message, one: &Struct) {
    if !has_error_code(message, one) {
        return;
    }
    out.push_str("\n    fn error_codes(&self, told: &mut dyn FnMut(i16)) {\n");
    for field in &one.fields {
        let id = ident(field);
        if is_error_code(field) {
            let _ = writeln!(out, "        told(self.{id});");
        } else if inner(message, field).is_some() {
            match (field.array, field.is_nullable()) {
                (true, false) => {
                    let _ = writeln!(out, "        self.{id}.iter().for_each(|one| one.error_codes(told));");
                }
                (true, true) => {
                    let _ = writeln!(
                        out,
                        "        self.{id}.iter().flatten().for_each(|one| one.error_codes(told));"
                    );
                }
                (false, true) => {
                    let _ = writeln!(out, "        self.{id}.iter().for_each(|one| one.error_codes(told));");
                }
                (false, false) => {
                    let _ = writeln!(out, "        self.{id}.error_codes(told);");
                }
            }
        }
    }
    out.push_str("    }\n");
}

fn paren(expression: &str) -> String {
    if expression.contains(' ') { format!("({expression})") } else { expression.to_owned() }
}

/// The condition, with `@` for the codec, that a version within `outer` is in `inner`; `None` when it always is.
fn covers(inner: Versions, outer: Versions) -> Option<String> {
    let low = inner.min > outer.min;
    let high = inner.max < outer.max;
    match (low, high) {
        (false, false) => None,
        (true, false) => Some(format!("@.version >= {}", inner.min)),
        (false, true) => Some(format!("@.version <= {}", inner.max)),
        (true, true) if inner.min == inner.max => Some(format!("@.version == {}", inner.min)),
        (true, true) => Some(format!("({}..={}).contains(&@.version)", inner.min, inner.max)),
    }
}

/// The fewest bytes a value of the struct takes in one version.
fn size_min(message: &Message, one: &Struct, version: i16, depth: u32) -> usize {
    assert!(depth < 16, "{}: recursive", one.name);
    let flexible = version >= message.flexible;
    let length = |plain| if flexible { 1 } else { plain };
    let fields: usize = one
        .fields
        .iter()
        .filter(|f| f.tag.is_none() && f.versions.contains(version))
        .map(|f| match &f.ty {
            _ if f.array => length(4),
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String => length(2),
            Type::Bytes | Type::Records => length(4),
            Type::Struct(_) if f.nullable.contains(version) => 1,
            Type::Struct(name) => size_min(message, message.find(name), version, depth + 1),
        })
        .sum();
    fields + usize::from(flexible)
}

fn rust_type(field: &Field) -> String {
    let one = match &field.ty {
        Type::Bool => "bool",
        Type::Int8 => "i8",
        Type::Int16 => "i16",
        Type::Uint16 => "u16",
        Type::Int32 => "i32",
        Type::Int64 => "i64",
        Type::Float64 => "f64",
        Type::Uuid => "Uuid",
        Type::String => "Str",
        Type::Bytes => "Bytes",
        Type::Records => "Records",
        Type::Struct(name) => name,
    };
    let many = if field.array { format!("Vec<{one}>") } else { one.to_owned() };
    if field.is_nullable() { format!("Option<{many}>") } else { many }
}

fn default_is_null(field: &Field) -> bool {
    field.is_nullable() && (field.default.as_deref() == Some("null") || field.ty == Type::Records)
}

fn default_is_trivial(field: &Field) -> bool {
    if field.is_nullable() { default_is_null(field) } else { field.default.is_none() }
}

fn default_value(field: &Field) -> anyhow::Result<String> {
    Ok(match field.default.as_deref() {
        _ if default_is_null(field) => "None".to_owned(),
        None if field.is_nullable() => "Some(Default::default())".to_owned(),
        None => "Default::default()".to_owned(),
        Some(literal @ ("true" | "false")) => literal.to_owned(),
        Some(number) if number.parse::<i64>().is_ok() => match number {
            "2147483647" => "i32::MAX".to_owned(),
            "-2147483648" => "i32::MIN".to_owned(),
            "9223372036854775807" => "i64::MAX".to_owned(),
            number => number.to_owned(),
        },
        Some(other) => bail!("{}: default {other}", field.name),
    })
}

/// The expression that says whether `self`'s field equals its default.
fn is_default(field: &Field) -> anyhow::Result<String> {
    let id = format!("self.{}", ident(field));
    let value = default_value(field)?;
    Ok(match (&field.ty, value.as_str()) {
        (_, "None") => format!("{id}.is_none()"),
        (Type::Bool, "true") => id,
        (_, "Some(Default::default())") => format!("{id} == {value}"),
        (_, "Default::default()") if field.array => format!("{id}.is_empty()"),
        (Type::Bool, _) => format!("!{id}"),
        (Type::String | Type::Bytes, _) => format!("{id}.is_empty()"),
        (Type::Uuid, _) => format!("{id}.is_nil()"),
        (Type::Float64, _) => format!("{id} == 0.0"),
        (Type::Struct(name), _) => format!("{id} == {name}::default()"),
        (_, "Default::default()") => format!("{id} == 0"),
        (_, number) => format!("{id} == {number}"),
    })
}

fn plain_ident(field: &Field) -> String {
    snake(&field.name)
}

fn ident(field: &Field) -> String {
    match plain_ident(field).as_str() {
        keyword @ ("type" | "match") => format!("r#{keyword}"),
        name => name.to_owned(),
    }
}

fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_ascii_uppercase();
        let before_lower = at > 0 && letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && at > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_checked_in_is_what_the_schema_says() {
        super::run(crate::tree::root(), true).unwrap();
    }

    #[test]
    fn names_in_snake_case() {
        for (name, snake) in
            [("TimeoutMs", "timeout_ms"), ("timeoutMs", "timeout_ms"), ("KRaftVersion", "k_raft_version")]
        {
            assert_eq!(super::snake(name), snake);
        }
    }
}
