//! Imported key material of one key: which materials belong to it, and which of them are there now.
//!
//! Materials of a symmetric encryption key are versions, as those that KMS makes are; other keys have one. Which materials
//! there are is the same in all Regions of a multi-Region key, so clones share it; each Region imports them by itself.

mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::api::KmsError;
use crate::fixed_key::FixedKey;
use crate::key_material::{KeyMaterial, KeyMaterialId};

pub(crate) use token::{ImportParameters, WrappingAlgorithm};

/// The materials, as one Region has them.
pub(crate) struct ImportedKey {
    region: String,
    /// Seals import tokens.
    token_key: Arc<KeyMaterial>,
    materials: Arc<Mutex<Vec<Material>>>,
}

/// One material, in all Regions.
#[derive(Clone)]
pub(crate) struct Material {
    pub(crate) id: KeyMaterialId,
    pub(crate) place: Place,
    pub(crate) imports: BTreeMap<String, Import>,
}

/// What a material is to its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// It belongs to the key for ever: from the beginning, or since a rotation.
    Permanent(Option<SystemTime>),
    /// The next rotation makes it the current one.
    Pending,
}

/// A material in one Region.
#[derive(Clone, Default)]
pub(crate) struct Import {
    pub(crate) description: Option<String>,
    /// `None` after it was deleted or expired.
    pub(crate) present: Option<Present>,
}

/// A material that is there.
#[derive(Clone)]
pub(crate) struct Present {
    pub(crate) secret: ImportedSecret,
    pub(crate) valid_to: Option<SystemTime>,
}

/// The secret itself.
#[derive(Clone)]
pub(crate) enum ImportedSecret {
    Symmetric(Arc<KeyMaterial>),
    Fixed(Arc<FixedKey>),
}

impl ImportedSecret {
    /// Names the secret without revealing it; for the same secret in another key it is another name.
    pub(crate) fn id(&self, key_id: &str) -> KeyMaterialId {
        match self {
            Self::Symmetric(material) => material.id(),
            Self::Fixed(key) => KeyMaterialId::of_imported(key.secret_bytes(), key_id),
        }
    }
}

/// What ImportKeyMaterial was given.
pub(crate) struct NewImport {
    pub(crate) id: KeyMaterialId,
    pub(crate) secret: ImportedSecret,
    pub(crate) valid_to: Option<SystemTime>,
    pub(crate) description: Option<String>,
    /// `ImportType`, if it was given.
    pub(crate) is_new: Option<bool>,
    /// Whether this Region can import what the key has never had.
    pub(crate) is_primary: bool,
}

impl ImportedKey {
    /// A key without material.
    ///
    /// # Errors
    /// KMSInternalException without random bytes.
    pub(crate) fn new(region: &str) -> Result<Self, KmsError> {
        let token_key = Arc::new(KeyMaterial::generate()?);
        Ok(Self::restored(region, token_key, Vec::new()))
    }

    /// A key as it was.
    pub(crate) fn restored(
        region: &str,
        token_key: Arc<KeyMaterial>,
        materials: Vec<Material>,
    ) -> Self {
        Self {
            region: region.to_owned(),
            token_key,
            materials: Arc::new(Mutex::new(materials)),
        }
    }

    /// The same key in another Region, which has imported nothing yet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn replica(&self, region: &str) -> Result<Self, KmsError> {
        Ok(Self {
            materials: Arc::clone(&self.materials),
            ..Self::new(region)?
        })
    }

    /// Joins what was saved of the same key in another Region.
    pub(crate) fn join(&mut self, other: &Self) {
        let own = self.all();
        let mut shared = other.lock();
        for material in own {
            let of_region = material.imports.get(&self.region);
            let known = shared.iter_mut().find(|known| known.id == material.id);
            if let (Some(import), Some(known)) = (of_region, known) {
                known.imports.insert(self.region.clone(), import.clone());
            }
        }
        drop(shared);
        self.materials = Arc::clone(&other.materials);
    }

    /// Every material, in the order in which they became current.
    pub(crate) fn all(&self) -> Vec<Material> {
        self.lock().clone()
    }

    /// How this Region has a material.
    pub(crate) fn import<'m>(&self, material: &'m Material) -> Option<&'m Import> {
        material.imports.get(&self.region)
    }

    /// The id of the current material, be it there or not.
    pub(crate) fn current_id(&self) -> Option<KeyMaterialId> {
        let materials = self.lock();
        current(&materials).map(|material| material.id)
    }

    /// The current material.
    pub(crate) fn current(&self) -> Option<ImportedSecret> {
        let materials = self.lock();
        current(&materials).and_then(|material| self.secret(material))
    }

    /// The material of that id.
    pub(crate) fn find(&self, id: KeyMaterialId) -> Option<ImportedSecret> {
        let materials = self.lock();
        let found = materials.iter().find(|material| material.id == id);
        found.and_then(|material| self.secret(material))
    }

    fn secret(&self, material: &Material) -> Option<ImportedSecret> {
        let present = self.import(material)?.present.as_ref();
        present.map(|present| present.secret.clone())
    }

    /// Whether all that belongs to the key is here.
    pub(crate) fn is_complete(&self) -> bool {
        let materials = self.lock();
        let mut permanent = materials.iter().filter(|m| m.place != Place::Pending);
        !materials.is_empty() && permanent.all(|material| self.secret(material).is_some())
    }

    /// When the next material that is here expires; of those that belong to the key for ever, or of all.
    pub(crate) fn next_expiry(&self, only_permanent: bool) -> Option<SystemTime> {
        let materials = self.lock();
        let wanted = materials
            .iter()
            .filter(|material| !(only_permanent && material.place == Place::Pending));
        wanted
            .filter_map(|material| self.import(material)?.present.as_ref()?.valid_to)
            .min()
    }

    /// Deletes what has expired by now; whether there was anything.
    pub(crate) fn expire(&self, now: SystemTime) -> bool {
        let mut expired = false;
        for import in self.own(&mut self.lock()) {
            let valid_to = import.present.as_ref().and_then(|present| present.valid_to);
            if valid_to.is_some_and(|date| date <= now) {
                import.present = None;
                expired = true;
            }
        }
        expired
    }

    /// Takes a material.
    ///
    /// # Errors
    /// IncorrectKeyMaterialException if it is not one that the key had, or not a new one, as the request says;
    /// UnsupportedOperationException for a new one in a replica; KMSInvalidStateException if another waits for its rotation.
    pub(crate) fn take(&self, new: NewImport) -> Result<(), KmsError> {
        let mut materials = self.lock();
        let incorrect = |message| Err(KmsError::new("IncorrectKeyMaterialException", message));
        let known = materials.iter().position(|known| known.id == new.id);
        let is_new = new.is_new.unwrap_or(materials.is_empty());
        let place = match (is_new, known) {
            (true, Some(_)) => return incorrect(KNOWN),
            (false, None) => return incorrect(UNKNOWN),
            (false, Some(at)) => at,
            (true, None) if !new.is_primary => return Err(KmsError::unsupported(REPLICA)),
            (true, None) if materials.iter().any(|known| known.place == Place::Pending) => {
                return Err(KmsError::new("KMSInvalidStateException", TWO_PENDING));
            }
            (true, None) => {
                let place = match materials.is_empty() {
                    true => Place::Permanent(None),
                    false => Place::Pending,
                };
                materials.push(Material {
                    id: new.id,
                    place,
                    imports: BTreeMap::new(),
                });
                materials.len() - 1
            }
        };
        if let Some(material) = materials.get_mut(place) {
            let import = material.imports.entry(self.region.clone()).or_default();
            import.description = new.description.or_else(|| import.description.take());
            import.present = Some(Present {
                secret: new.secret,
                valid_to: new.valid_to,
            });
        }
        Ok(())
    }

    /// Deletes a material, or the current one; gives its id. One that no rotation made current yet is forgotten, in every
    /// Region if the primary deletes it.
    ///
    /// # Errors
    /// NotFoundException if the key has no material of that id.
    pub(crate) fn delete(
        &self,
        id: Option<KeyMaterialId>,
        is_primary: bool,
    ) -> Result<Option<KeyMaterialId>, KmsError> {
        let mut materials = self.lock();
        let Some(id) = id.or_else(|| current(&materials).map(|material| material.id)) else {
            return Ok(None);
        };
        let Some(at) = materials.iter().position(|material| material.id == id) else {
            return Err(KmsError::not_found(format!(
                "The key has no key material {}; ListKeyRotations tells those that it has.",
                id.to_hex()
            )));
        };
        let is_pending = materials.get(at).is_some_and(|m| m.place == Place::Pending);
        if is_pending && is_primary {
            materials.remove(at);
        } else if let Some(material) = materials.get_mut(at)
            && let Some(import) = material.imports.get_mut(&self.region)
        {
            import.present = None;
        }
        Ok(Some(id))
    }

    /// Makes the pending material the current one.
    ///
    /// # Errors
    /// KMSInvalidStateException if none is pending, or not every one of the Regions has it; LimitExceededException.
    pub(crate) fn rotate(
        &self,
        arn: &str,
        regions: &[String],
        now: SystemTime,
    ) -> Result<(), KmsError> {
        let mut materials = self.lock();
        let invalid = |message| Err(KmsError::new("KMSInvalidStateException", message));
        let rotations = materials
            .iter()
            .filter(|m| matches!(m.place, Place::Permanent(Some(_))));
        if rotations.count() >= crate::rotation::MAX_ON_DEMAND {
            return Err(crate::rotation::too_many_on_demand());
        }
        let Some(pending) = materials.iter_mut().find(|m| m.place == Place::Pending) else {
            return invalid(format!(
                "No available key material pending rotation for the key: {arn}."
            ));
        };
        if let Some(region) = pending.missing_in(regions) {
            return invalid(format!(
                "The key material that is pending rotation for the key {arn} is not imported in {region}."
            ));
        }
        pending.place = Place::Permanent(Some(now));
        Ok(())
    }

    fn own<'m>(&self, materials: &'m mut [Material]) -> impl Iterator<Item = &'m mut Import> {
        let region = self.region.clone();
        let imports = materials.iter_mut();
        imports.filter_map(move |material| material.imports.get_mut(&region))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Material>> {
        self.materials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Material {
    /// The first of the Regions that has not imported it.
    pub(crate) fn missing_in<'r>(&self, regions: &'r [String]) -> Option<&'r String> {
        let has = |region: &&String| {
            let import = self.imports.get(*region);
            import.is_some_and(|import| import.present.is_some())
        };
        regions.iter().find(|region| !has(region))
    }
}

fn current(materials: &[Material]) -> Option<&Material> {
    let permanent = materials.iter().rev();
    permanent
        .into_iter()
        .find(|material| material.place != Place::Pending)
}

const KNOWN: &str = "The key material is associated with the KMS key already; ImportType NEW_KEY_MATERIAL needs another.";
const UNKNOWN: &str = "The key material is not the one that was imported into the KMS key before; import the same again.";
const REPLICA: &str = "New key material is imported into the primary key of a multi-Region key first, and then, as \
                       EXISTING_KEY_MATERIAL, into its replica keys.";
const TWO_PENDING: &str = "Other key material is pending rotation for the KMS key. Rotate the key on demand, or delete that \
                           key material.";
