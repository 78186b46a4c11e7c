//! Imported key material as it is saved: what one Region has of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Defect, Material, SecretText, instant};
use crate::fixed_key::FixedKey;
use crate::imported::{self, Import, ImportedKey, ImportedSecret, Place, Present};
use crate::key_material::{KeyMaterial, KeyMaterialId};
use crate::key_spec::KeyKind;

/// The materials of a key with imported material, in their order.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ImportedImage {
    token_key: Material,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    materials: Vec<MaterialImage>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MaterialImage {
    id: String,
    place: PlaceImage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    import: Option<ImportImage>,
}

#[derive(Deserialize, Serialize)]
enum PlaceImage {
    First,
    Rotated(#[serde(with = "instant")] SystemTime),
    Pending,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ImportImage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<PresentImage>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PresentImage {
    secret: SecretText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_to: Option<ValidTo>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(transparent)]
struct ValidTo(#[serde(with = "instant")] SystemTime);

impl ImportedImage {
    /// The materials as they are.
    pub(super) fn of(key: &ImportedKey) -> Self {
        let image = |material: imported::Material| MaterialImage {
            id: material.id.to_hex(),
            place: match material.place {
                Place::Permanent(None) => PlaceImage::First,
                Place::Permanent(Some(date)) => PlaceImage::Rotated(date),
                Place::Pending => PlaceImage::Pending,
            },
            import: key.import(&material).map(|import| ImportImage {
                description: import.description.clone(),
                present: import.present.as_ref().map(PresentImage::of),
            }),
        };
        Self {
            token_key: Material(key.token_key()),
            materials: key.all().into_iter().map(image).collect(),
        }
    }

    /// The materials as they were.
    pub(super) fn restore(
        self,
        kind: KeyKind,
        key_id: &str,
        region: &str,
    ) -> Result<ImportedKey, Defect> {
        let mut materials = Vec::new();
        for image in self.materials {
            let mut imports = BTreeMap::new();
            if let Some(import) = image.import {
                let present = import
                    .present
                    .map(|p| p.restore(kind, key_id))
                    .transpose()?;
                let import = Import {
                    description: import.description,
                    present,
                };
                imports.insert(region.to_owned(), import);
            }
            materials.push(imported::Material {
                id: KeyMaterialId::from_hex(&image.id)
                    .ok_or(Defect::Value("the id of a key material"))?,
                place: match image.place {
                    PlaceImage::First => Place::Permanent(None),
                    PlaceImage::Rotated(date) => Place::Permanent(Some(date)),
                    PlaceImage::Pending => Place::Pending,
                },
                imports,
            });
        }
        Ok(ImportedKey::restored(region, self.token_key.0, materials))
    }
}

impl PresentImage {
    fn of(present: &Present) -> Self {
        let text = match &present.secret {
            ImportedSecret::Symmetric(material) => STANDARD.encode(material.expose()),
            ImportedSecret::Fixed(key) => STANDARD.encode(key.secret_bytes()),
        };
        Self {
            secret: SecretText(Zeroizing::new(text)),
            valid_to: present.valid_to.map(ValidTo),
        }
    }

    fn restore(self, kind: KeyKind, key_id: &str) -> Result<Present, Defect> {
        let bytes = STANDARD.decode(self.secret.0.as_bytes()).ok();
        let secret = bytes
            .map(Zeroizing::new)
            .and_then(|bytes| match kind.is_symmetric() {
                true => {
                    let bytes = Zeroizing::new(bytes.as_slice().try_into().ok()?);
                    let material = KeyMaterial::imported(bytes, key_id);
                    Some(ImportedSecret::Symmetric(Arc::new(material)))
                }
                false => FixedKey::from_secret_bytes(kind.spec, &bytes)
                    .map(|key| ImportedSecret::Fixed(Arc::new(key))),
            });
        Ok(Present {
            secret: secret.ok_or(Defect::Value("imported key material"))?,
            valid_to: self.valid_to.map(|ValidTo(date)| date),
        })
    }
}
