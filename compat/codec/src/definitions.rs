//! The schema against the message definitions inside the jar: names, types, versions, nullability, tags, defaults.
//!
//! Where our schema says more than the jar, it is about versions that Kafka 4.0 removed: below the jar's first version
//! nothing is compared, and four fields that existed only there are ours alone.

use serde_json::Value;

use crate::Cases;
use crate::java::Kafka;
use crate::notation::{Field, Message, Schema, Struct, Type, Versions};

const REMOVED_FIELDS: [(&str, &str); 4] = [
    ("ListOffsetsRequest", "MaxNumOffsets"),
    ("ListOffsetsResponse", "OldStyleOffsets"),
    ("OffsetCommitRequest", "CommitTimestamp"),
    ("DescribeConfigsResponse", "IsDefault"),
];

pub fn compare(kafka: &mut Kafka, schema: &Schema, cases: &mut Cases) -> anyhow::Result<()> {
    let messages = schema
        .apis
        .iter()
        .flat_map(|api| [(&api.request, Some(api)), (&api.response, Some(api))])
        .chain(schema.data.iter().map(|message| (message, None)));
    for (message, api) in messages {
        let definition: Value = serde_json::from_str(&kafka.ask(&format!("definition {}", message.name))?)?;
        let mut result = compare_message(message, &definition);
        if let (Ok(_), Some(api)) = (&result, api) {
            if definition["apiKey"].as_i64() != Some(i64::from(api.key)) {
                result = Err(format!("key is {}", definition["apiKey"]));
            }
            let unstable = definition["latestVersionUnstable"].as_bool() == Some(true);
            if message.name.ends_with("Request") && unstable != (api.stable_max < api.versions.max) {
                result = Err("latest version unstable".to_owned());
            }
        }
        cases.case(&format!("definition {}", message.name), result);
    }
    Ok(())
}

struct Walk<'a> {
    message: &'a Message,
    definition: &'a Value,
    /// Versions that the jar defines.
    known: Versions,
    fields: usize,
}

fn compare_message(message: &Message, definition: &Value) -> Result<String, String> {
    let known = versions(&definition["validVersions"], message)?;
    if known.max != message.versions.max || known.min < message.versions.min {
        return Err(format!("versions {known:?} against {:?}", message.versions));
    }
    let flexible = versions(&definition["flexibleVersions"], message)?;
    let flexible = if flexible.is_none() { i16::MAX } else { flexible.min };
    if flexible != message.flexible {
        return Err(format!("flexible from {flexible} against {}", message.flexible));
    }
    let mut walk = Walk { message, definition, known, fields: 0 };
    walk.compare(&message.structs[0], &definition["fields"])?;
    Ok(format!("{} fields", walk.fields))
}

impl Walk<'_> {
    fn compare(&mut self, ours: &Struct, theirs: &Value) -> Result<(), String> {
        let name = &self.message.name;
        let ours = ours.fields.iter().filter(|f| !REMOVED_FIELDS.contains(&(name.as_str(), f.name.as_str())));
        let mut theirs = theirs.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        for our in ours {
            // Definitions keep fields of versions that are gone altogether; so do we not.
            let their = theirs.find(|their| {
                versions(&their["versions"], self.message).is_ok_and(|v| !intersect(v, self.known).is_none())
            });
            let their = their.ok_or(format!("{} is not in the jar", our.name))?;
            self.compare_field(our, their)
                .map_err(|why| format!("{}: {why}: {our:?} against {their}", our.name))?;
        }
        match theirs.next() {
            Some(more) if !intersect(versions(&more["versions"], self.message)?, self.known).is_none() => {
                Err(format!("{} is missing", more["name"]))
            }
            _ => Ok(()),
        }
    }

    fn compare_field(&mut self, our: &Field, their: &Value) -> Result<(), String> {
        self.fields += 1;
        let text = |name: &str| their[name].as_str().unwrap_or_default().to_owned();
        let check = |same: bool, what: &str| if same { Ok(()) } else { Err(what.to_owned()) };
        check(our.name == text("name"), "name")?;
        let exists = intersect(versions(&their["versions"], self.message)?, self.known);
        check(intersect(our.versions, self.known) == exists, "versions")?;
        let nullable = intersect(versions(&their["nullableVersions"], self.message)?, exists);
        check(intersect(our.nullable, exists) == nullable, "nullable versions")?;
        check(our.tag.map(i64::from) == their["tag"].as_i64(), "tag")?;
        if our.tag.is_some() {
            let tagged = intersect(versions(&their["taggedVersions"], self.message)?, self.known);
            check(tagged == exists, "tagged versions")?;
        }
        let ignorable =
            their["ignorable"].as_bool() == Some(true) || their["ignorable"].as_str() == Some("true");
        check(our.ignorable == ignorable, "ignorable")?;
        check(same_default(our, &their["default"]), "default")?;

        let ty = text("type");
        let (ty, array) = ty.strip_prefix("[]").map_or((ty.as_str(), false), |element| (element, true));
        check(our.array == array, "array")?;
        let Type::Struct(name) = &our.ty else {
            return check(format!("{:?}", our.ty).to_lowercase() == ty, "type");
        };
        // A struct name that request and response share has a prefix in our schema.
        check(name == ty || [format!("Request{ty}"), format!("Response{ty}")].contains(name), "struct")?;
        let inline = &their["fields"];
        let common = self.definition["commonStructs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields = match common.iter().find(|one| one["name"] == ty) {
            Some(one) if inline.is_null() => &one["fields"],
            _ => inline,
        };
        let ours = self.message.find(name).clone();
        self.compare(&ours, fields)
    }
}

fn same_default(our: &Field, theirs: &Value) -> bool {
    let theirs = match theirs {
        Value::Null => None,
        Value::String(text) => Some(text.to_lowercase()),
        other => Some(other.to_string()),
    };
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match (our.default.as_deref(), theirs.as_deref()) {
        (None, None | Some("" | "0" | "false")) => true,
        (Some(our), Some(their)) => our == their || (number(our).is_some() && number(our) == number(their)),
        _ => false,
    }
}

fn intersect(a: Versions, b: Versions) -> Versions {
    let both = Versions { min: a.min.max(b.min), max: a.max.min(b.max) };
    if both.is_none() { Versions::NONE } else { both }
}

fn versions(text: &Value, message: &Message) -> Result<Versions, String> {
    match text.as_str() {
        None => Ok(Versions::NONE),
        Some(text) => Versions::parse(text).ok_or(format!("{}: versions {text}", message.name)),
    }
}
