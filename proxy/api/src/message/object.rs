//! JSON objects as objects alone: serde would take an array for a struct, too, its values by their places.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A value whose JSON is an object.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

/// For a member that is an object.
pub(super) fn one<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// For a member that is a list of objects.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|Object(value)| value).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::*;
    use super::*;

    const METADATA: &str =
        r#"{"awsPrincipalArn":"a","kmsKeyArn":"k","kmsOperation":"o","kmsRequestId":"r"}"#;
    /// The same by the order of the struct.
    const BY_PLACE: &str = r#"["a",null,null,"k","o","r",null]"#;

    #[test]
    fn an_array_is_no_request_and_no_part_of_one() {
        let members = [
            ("requestMetadata", METADATA),
            ("additionalAuthenticatedData", r#""""#),
            ("plaintext", r#""AAAA""#),
            ("encryptionAlgorithm", r#""AES_GCM""#),
            ("ciphertextDataIntegrityValueAlgorithm", r#""SHA_256""#),
            ("ciphertext", r#""AAAA""#),
            ("ciphertextMetadata", r#""""#),
            ("initializationVector", r#""HMrlRw85cAJUd5Ax""#),
            ("authenticationTag", r#""vBxN2ncH1oEkR8WVXpmyYQ==""#),
        ];
        type Taken = fn(&str) -> bool;
        let operations: [(&[usize], Taken); 4] = [
            (&[0, 1, 2, 3, 4], |body| {
                EncryptRequest::parse(body.as_bytes()).is_ok()
            }),
            (&[0, 1, 3, 5, 6, 7, 8], |body| {
                DecryptRequest::parse(body.as_bytes()).is_ok()
            }),
            (&[0], |body| {
                GetKeyMetadataRequest::parse(body.as_bytes()).is_ok()
            }),
            (&[0], |body| {
                GetHealthStatusRequest::parse(body.as_bytes()).is_ok()
            }),
        ];
        for (places, taken) in operations {
            let members: Vec<_> = places.iter().map(|at| members[*at]).collect();
            let named: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            let values: Vec<_> = members.iter().map(|(_, value)| *value).collect();
            let object = format!("{{{}}}", named.join(","));
            let array = format!("[{}]", values.join(","));
            assert!(taken(&object), "{object}");
            assert!(!taken(&array), "{array}");
            for by_place in [BY_PLACE, r#"["o","r"]"#] {
                let nested = object.replace(METADATA, by_place);
                assert_ne!(nested, object);
                assert!(!taken(&nested), "{nested}");
            }
        }
    }

    #[test]
    fn an_array_is_no_response_and_no_part_of_one() {
        let encrypted =
            r#"["vBxN2ncH1oEkR8WVXpmyYQ==","ghxkK1txeDNn3q8Y",null,null,"HMrlRw85cAJUd5Ax"]"#;
        assert!(EncryptResponse::parse(encrypted.as_bytes()).is_err());
        assert!(DecryptResponse::parse(br#"["AAAA"]"#).is_err());
        assert!(GetKeyMetadataResponse::parse(br#"["AES_256",[],"ENABLED"]"#).is_err());
        let health = |detail: &str| {
            let body = format!(
                r#"{{"xksProxyFleetSize":1,"xksProxyVendor":"v","xksProxyModel":"m","ekmVendor":"e",
                    "ekmFleetDetails":[{detail}]}}"#
            );
            GetHealthStatusResponse::parse(body.as_bytes()).is_ok()
        };
        assert!(health(r#"{"id":"i","model":"m","healthStatus":"ACTIVE"}"#));
        assert!(!health(r#"["i","m","ACTIVE"]"#));
    }

    #[test]
    fn what_is_no_object_is_told() {
        let error = serde_json::from_str::<Object<Value>>("[]").err().unwrap();
        assert!(error.to_string().contains("expected an object"), "{error}");
    }
}
