//! What the API is made of: 57 operations, the structures of those we serve, one line a member.
//!
//! A structure is written in our own notation and becomes a plain Rust struct that can be read, checked and written:
//!
//! ```text
//! /// What it is for.
//! PutRecordInput {
//!     PartitionKey   partition_key:   required Text, PARTITION_KEY;
//!     ExplicitHashKey explicit_hash_key: optional Text, HASH_KEY;
//! }
//! ```
//!
//! that is: name on the wire, name in Rust, whether it must be there, its kind, and the constraints it must meet.
//! Members stand in the order in which the service reports their errors.
//!
//! Facts from the Kinesis Data Streams API model of 2013-12-02 as published in 2026; order and wording of errors from
//! observed answers.

pub mod constraints;
pub mod kinds;
pub mod operations;
pub mod replies;
pub mod requests;

/// `required` and `optional` as field types.
macro_rules! member_type {
    (required $kind:ty) => { <$kind as $crate::model::kinds::Kind>::Value };
    (optional $kind:ty) => { Option<<$kind as $crate::model::kinds::Kind>::Value> };
}

/// Whether a member must be there.
macro_rules! member_required {
    (required) => {
        true
    };
    (optional) => {
        false
    };
}

/// A checked member as its field: a required one that failed its check makes the whole structure fail.
macro_rules! member_value {
    (required $field:ident) => {
        $field?
    };
    (optional $field:ident) => {
        $field
    };
}

/// Writes a member if it is there.
macro_rules! member_write {
    (required $kind:ty, $wire:ident, $value:expr, $out:expr) => {
        $out.key(stringify!($wire));
        <$kind as $crate::model::kinds::Kind>::write(&$value, $out);
    };
    (optional $kind:ty, $wire:ident, $value:expr, $out:expr) => {
        if let Some(value) = &$value {
            $out.key(stringify!($wire));
            <$kind as $crate::model::kinds::Kind>::write(value, $out);
        }
    };
}

/// Structures in the notation of the module comment.
macro_rules! structures {
    ($( $(#[$doc:meta])* $name:ident { $( $wire:ident $field:ident: $need:ident $kind:ty $(, $rules:expr)? ; )* } )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( #[doc = concat!("`", stringify!($wire), "`.")] pub $field: member_type!($need $kind), )*
        }

        impl $crate::model::kinds::Kind for $name {
            type Raw = ( $( Option<<$kind as $crate::model::kinds::Kind>::Raw>, )* );
            type Value = Self;

            fn read<'a>(
                decoder: &mut $crate::codec::Decoder<'a>,
                token: $crate::codec::Token<'a>,
            ) -> Result<Option<Self::Raw>, $crate::codec::Malformed> {
                if !$crate::model::kinds::enter_structure(decoder, &token)? {
                    return Ok(None);
                }
                $( let mut $field = None; )*
                while let Some(key) = decoder.next_key()? {
                    match &*key {
                        $( stringify!($wire) => $field = decoder.member::<$kind>()?, )*
                        _ => decoder.skip()?,
                    }
                }
                Ok(Some(( $( $field, )* )))
            }

            #[allow(unused_variables, clippy::unused_unit)]
            fn check(
                raw: Self::Raw,
                _rules: &[$crate::model::constraints::Rule],
                at: $crate::model::constraints::Path<'_>,
                violations: &mut $crate::model::constraints::Violations,
            ) -> Option<Self> {
                let ( $( $field, )* ) = raw;
                $( let $field = $crate::model::kinds::check_member::<$kind>(
                    $field,
                    member_required!($need),
                    $crate::model::structures!(@rules $($rules)?),
                    $crate::model::constraints::Path::Member(&at, stringify!($wire)),
                    violations,
                ); )*
                Some(Self { $( $field: member_value!($need $field), )* })
            }

            fn show(_raw: &Self::Raw) -> String {
                // The service prints Java's default: class name and identity hash.
                concat!("com.amazonaws.kinesis.v20131202.", stringify!($name), "@0").to_owned()
            }

            fn write(value: &Self, out: &mut dyn $crate::codec::Writer) {
                let _ = value;
                out.open_map();
                $( member_write!($need $kind, $wire, value.$field, out); )*
                out.close_map();
            }
        }
    )* };
    (@rules) => { &[] };
    (@rules $rules:expr) => { $rules };
}

/// Texts that stand for one of a few values; they stand in the order in which the service lists them.
macro_rules! enumerations {
    ($( $(#[$doc:meta])* $name:ident {
        $first:ident = $first_wire:literal $(, $variant:ident = $wire:literal )* $(,)?
    } )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            #[doc = concat!("`", $first_wire, "`.")] #[default] $first,
            $( #[doc = concat!("`", $wire, "`.")] $variant, )*
        }

        impl $name {
            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { Self::$first => $first_wire, $( Self::$variant => $wire, )* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::model::kinds::Enumerated for $name {
            const VALUES: &'static [(&'static str, Self)] = &[
                ($first_wire, Self::$first), $( ($wire, Self::$variant), )*
            ];
        }
    )* };
}

use {enumerations, member_required, member_type, member_value, member_write, structures};
