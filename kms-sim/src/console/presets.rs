//! The switches of a link: faults that have a name, each with the members that `kms-sim ctl link set` would send.

use serde_json::{Value, json};

use crate::control::read_fault;
use crate::fault::LinkFault;

/// A fault that one press switches on.
pub(super) struct Preset {
    /// In forms.
    pub(super) word: &'static str,
    pub(super) label: &'static str,
    /// What callers of KMS see of it.
    pub(super) note: &'static str,
}

impl Preset {
    /// The preset of that word.
    pub(super) fn find(word: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.word == word)
    }

    /// What the control API is sent.
    pub(super) fn members(&self) -> Value {
        match self.word {
            "refused" => json!({"Tcp": "refused"}),
            "black-hole" => json!({"Tcp": "black-hole"}),
            "silent" => json!({"Tcp": "silent"}),
            "expired" => json!({"Tls": "expired"}),
            "untrusted" => json!({"Tls": "untrusted-authority"}),
            "slow" => json!({"LatencyMs": 150}),
            "too-slow" => json!({"LatencyMs": 400}),
            "jitter" => json!({"LatencyMs": 50, "JitterMs": 300}),
            "lossy" => json!({"Loss": 0.3}),
            "reset" => json!({"ResetAfterBytes": 40}),
            "trickle" => json!({"BytesPerSecond": 20}),
            "throttled" => json!({"Reply": {"Status": 429, "ErrorName": "ThrottlingException"}}),
            "denied" => json!({"Reply": {"ErrorName": "AccessDeniedException"}}),
            "key-gone" => {
                json!({"Reply": {"ErrorName": "KeyNotFoundException"}, "Operations": ["GetKeyMetadata", "Encrypt", "Decrypt"]})
            }
            "gateway" => json!({"Reply": {"Status": 502, "Body": "<html>Bad Gateway</html>"}}),
            "wrong-cdiv" => json!({"Reply": {"Defect": "wrong-cdiv"}, "Operations": ["Encrypt"]}),
            "unhealthy" => {
                json!({"Reply": {"Defect": "all-unavailable"}, "Operations": ["GetHealthStatus"]})
            }
            _ => Value::Null,
        }
    }

    /// Whether it is that fault.
    pub(super) fn is(&self, fault: &LinkFault) -> bool {
        read_fault(self.members()).is_ok_and(|own| own == *fault)
    }
}

pub(super) const PRESETS: [Preset; 17] = [
    Preset {
        word: "refused",
        label: "Connections are refused",
        note: "The proxy is down.",
    },
    Preset {
        word: "black-hole",
        label: "Packets vanish",
        note: "A firewall drops them; KMS waits 250 ms, twice.",
    },
    Preset {
        word: "silent",
        label: "Connected, and silence",
        note: "Something accepts and says nothing.",
    },
    Preset {
        word: "expired",
        label: "Certificate expired",
        note: "No TLS.",
    },
    Preset {
        word: "untrusted",
        label: "Unknown authority",
        note: "No TLS.",
    },
    Preset {
        word: "slow",
        label: "150 ms later",
        note: "Slow, but in time.",
    },
    Preset {
        word: "too-slow",
        label: "400 ms later",
        note: "Later than KMS waits.",
    },
    Preset {
        word: "jitter",
        label: "50 to 350 ms later",
        note: "Some are in time.",
    },
    Preset {
        word: "lossy",
        label: "3 of 10 requests are lost",
        note: "KMS tries twice.",
    },
    Preset {
        word: "reset",
        label: "Reset in the answer",
        note: "After 40 bytes.",
    },
    Preset {
        word: "trickle",
        label: "20 bytes a second",
        note: "The answer trickles.",
    },
    Preset {
        word: "throttled",
        label: "429 ThrottlingException",
        note: "The proxy has had enough.",
    },
    Preset {
        word: "denied",
        label: "AccessDeniedException",
        note: "A policy of the proxy.",
    },
    Preset {
        word: "key-gone",
        label: "KeyNotFoundException",
        note: "The external key is gone; health is well.",
    },
    Preset {
        word: "gateway",
        label: "502 of a load balancer",
        note: "HTML where JSON should be.",
    },
    Preset {
        word: "wrong-cdiv",
        label: "Wrong CDIV",
        note: "KMS refuses the ciphertext.",
    },
    Preset {
        word: "unhealthy",
        label: "All key managers UNAVAILABLE",
        note: "Health alone: connecting fails.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_is_a_fault_of_its_own() {
        let faults: Vec<_> = PRESETS
            .iter()
            .map(|preset| read_fault(preset.members()).expect(preset.word))
            .collect();
        for (at, preset) in PRESETS.iter().enumerate() {
            let on: Vec<_> = faults.iter().map(|fault| preset.is(fault)).collect();
            let expected: Vec<_> = (0..faults.len()).map(|other| other == at).collect();
            assert_eq!(on, expected, "{}", preset.word);
            assert_eq!(Preset::find(preset.word).unwrap().label, preset.label);
        }
    }
}
