//! The requirements of the specification, numbered, in this project's words; and those that are not met in full.

/// What a requirement asks for.
pub struct Requirement {
    pub number: u8,
    pub level: Level,
    /// The specification's section.
    pub section: &'static str,
    pub text: &'static str,
}

/// How much the specification wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    Must,
    Should,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// What lacks code or a test, or is met in part, and why.
pub const EXCEPTIONS: [(u8, &str); 0] = [];

const fn must(number: u8, section: &'static str, text: &'static str) -> Requirement {
    Requirement {
        number,
        level: Level::Must,
        section,
        text,
    }
}

const fn should(number: u8, section: &'static str, text: &'static str) -> Requirement {
    Requirement {
        number,
        level: Level::Should,
        section,
        text,
    }
}

#[rustfmt::skip]
pub const REQUIREMENTS: [Requirement; 44] = [
    must(1, "API content type", "JSON over HTTPS, `Content-Type: application/json`"),
    must(2, "API content type", "HTTP/1.1 or later, able to fall back to 1.1"),
    must(3, "API content type", "TLS 1.2 or later with one of the four suites"),
    must(4, "API operations", "the four operations"),
    must(5, "API operations", "ARNs of up to 2,048 characters"),
    must(6, "API operations", "GET on an API URI is 405"),
    must(7, "API operations", "a URI path of up to 128 allowed characters; prefixes are isolated; overload is ThrottlingException"),
    must(8, "API operations", "an unambiguous externalKeyId of up to 128 characters; a URI of up to 256"),
    must(9, "all operations", "an unlisted kmsOperation is not invalid"),
    must(10, "all operations", "kmsRequestId is opaque"),
    should(11, "all operations", "kmsRequestId is logged"),
    must(12, "all operations", "members of requestMetadata are required, optional or ignored"),
    must(13, "GetKeyMetadata", "keySpec, keyUsage and keyStatus, spelled as they are"),
    must(14, "Encrypt", "plaintexts of up to 4,300 bytes, never logged"),
    must(15, "Encrypt", "encryptionAlgorithm is `AES_GCM`"),
    must(16, "Encrypt", "up to 8,192 bytes of AAD, which are the AAD of AES-GCM"),
    must(17, "Encrypt", "the integrity value whenever it is asked for, by SHA-256 over the right fields"),
    must(18, "Encrypt", "a ciphertext as long as the plaintext, an IV of 12 or 16 bytes, a tag of 16"),
    must(19, "Encrypt", "at most 20 bytes of metadata, bound into the AAD with both lengths"),
    should(20, "Encrypt", "the metadata says which layout the AAD has"),
    must(21, "Appendix C", "encrypt, integrity value, verifying decryption, answer, in this order"),
    must(22, "Decrypt", "4,300 bytes of ciphertext; changed metadata is noticed"),
    must(23, "Decrypt", "a plaintext as long as the ciphertext, never logged"),
    should(24, "GetHealthStatus", "deep: after a success the next operation is likely to succeed"),
    should(25, "GetHealthStatus", "with a test key of its own"),
    must(26, "GetHealthStatus", "exempt from secondary authorization"),
    must(27, "GetHealthStatus", "a fleet size, both vendors, one to ten ekmFleetDetails, three statuses"),
    should(28, "GetHealthStatus", "models carry product name and version"),
    must(29, "GetHealthStatus", "a kept result is at most one minute old"),
    must(30, "Error codes", "names and statuses of the table; constant messages under 512 printable characters"),
    must(31, "Authentication", "HTTPS with server authentication"),
    must(32, "Authentication", "SigV4 on every request"),
    should(33, "Authentication", "mTLS is to be had"),
    must(34, "Authentication", "mTLS: another subject or CA ends the handshake"),
    should(35, "Credentials rotation", "two credentials at once, changed without a restart"),
    should(36, "Authorization", "an external key can be limited to certain callers"),
    should(37, "Authorization", "a denial is logged with the statement that is responsible"),
    should(38, "Logging", "request metadata, time and outcome of every request"),
    must(39, "Logging", "no plaintext in logs, and their integrity is protected"),
    must(40, "Load balancer health checks", "a health check for load balancers"),
    should(41, "Console configuration", "the JSON file for the KMS console"),
    must(42, "Appendix A", "credentials of the given form; an id names one secret"),
    must(43, "Appendix A", "more than five minutes of clock difference fail"),
    must(44, "Appendix A", "the signature covers method, path, signed headers and payload"),
];
