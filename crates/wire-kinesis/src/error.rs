//! The service's errors: code, HTTP status, and the shape of their bodies.

use bytes::Bytes;

use crate::codec::{DecodeError, Format};

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $name:ident = $wire:literal, $status:literal; )*) => {
        /// An error code of the service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $( $(#[$doc])* $name, )*
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [ErrorCode] = &[ $( ErrorCode::$name, )* ];

            /// As in `__type`.
            pub const fn as_str(self) -> &'static str {
                match self { $( ErrorCode::$name => $wire, )* }
            }

            /// The HTTP status it goes with.
            pub const fn status(self) -> u16 {
                match self { $( ErrorCode::$name => $status, )* }
            }
        }
    };
}

error_codes! {
    /// A well-formed request asks for something impossible.
    InvalidArgument = "InvalidArgumentException", 400;
    /// A member breaks its constraints.
    Validation = "ValidationException", 400;
    /// A body that cannot be read, or a member of the wrong type.
    Serialization = "SerializationException", 400;
    /// No such operation.
    UnknownOperation = "UnknownOperationException", 400;
    /// The stream or shard does not exist.
    ResourceNotFound = "ResourceNotFoundException", 400;
    /// The stream exists already, or is busy.
    ResourceInUse = "ResourceInUseException", 400;
    /// More than the account may have.
    LimitExceeded = "LimitExceededException", 400;
    /// More than the shard may take now.
    ProvisionedThroughputExceeded = "ProvisionedThroughputExceededException", 400;
    /// The shard iterator is older than five minutes.
    ExpiredIterator = "ExpiredIteratorException", 400;
    /// The pagination token is older than five minutes.
    ExpiredNextToken = "ExpiredNextTokenException", 400;
    /// A dry run found nothing that would fail.
    DryRunOperation = "DryRunOperationException", 400;
    /// The caller may not.
    AccessDenied = "AccessDeniedException", 400;
    /// No signature at all.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 400;
    /// A signature with parts missing.
    IncompleteSignature = "IncompleteSignatureException", 400;
    /// Two signatures, or a wrong one.
    InvalidSignature = "InvalidSignatureException", 400;
    /// The KMS key is disabled.
    KmsDisabled = "KMSDisabledException", 400;
    /// The KMS key is in a wrong state.
    KmsInvalidState = "KMSInvalidStateException", 400;
    /// The KMS key may not be used.
    KmsAccessDenied = "KMSAccessDeniedException", 400;
    /// The KMS key does not exist.
    KmsNotFound = "KMSNotFoundException", 400;
    /// The account has no KMS.
    KmsOptInRequired = "KMSOptInRequired", 400;
    /// KMS is asked too often.
    KmsThrottling = "KMSThrottlingException", 400;
    /// The service failed; the request may or may not have taken effect.
    InternalFailure = "InternalFailure", 500;
    /// The service cannot take the request now; it has not taken effect.
    ServiceUnavailable = "ServiceUnavailable", 503;
}

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.as_str(), message.as_deref().unwrap_or("no message"))]
pub struct ServiceError {
    /// What kind of error.
    pub code: ErrorCode,
    /// What went wrong, in the service's words; some errors have none.
    pub message: Option<String>,
}

impl ServiceError {
    /// With a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// Without one.
    pub const fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// The body: `__type` and, where there is one, `message` (`Message` for serialization errors).
    pub fn encode(&self, format: Format) -> Bytes {
        let mut writer = format.writer(128);
        writer.open_map();
        writer.key("__type");
        writer.text(self.code.as_str());
        if let Some(message) = &self.message {
            writer.key(if self.code == ErrorCode::Serialization { "Message" } else { "message" });
            writer.text(message);
        }
        writer.close_map();
        writer.take()
    }
}

impl From<DecodeError> for ServiceError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed => Self::bare(ErrorCode::Serialization),
            DecodeError::Mismatch(text) => Self::new(ErrorCode::Serialization, text),
            DecodeError::Invalid(text) => Self::new(ErrorCode::Validation, text),
        }
    }
}
