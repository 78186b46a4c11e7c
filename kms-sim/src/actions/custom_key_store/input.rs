//! What the operations on existing custom key stores take, but for UpdateCustomKeyStore.

use crate::api::{Input, KmsError, Members, PageRequest};

/// ConnectCustomKeyStore, DisconnectCustomKeyStore and DeleteCustomKeyStore.
#[derive(Debug)]
pub(crate) struct IdInput {
    pub(super) id: String,
}

impl Input for IdInput {
    fn read(members: &mut Members<'_>) -> Self {
        Self {
            id: members.text("CustomKeyStoreId").length(1, 64).required(),
        }
    }
}

/// DescribeCustomKeyStores
#[derive(Debug)]
pub(crate) struct DescribeInput {
    id: Option<String>,
    name: Option<String>,
    pub(super) page: PageRequest,
}

impl Input for DescribeInput {
    fn read(members: &mut Members<'_>) -> Self {
        Self {
            id: members.text("CustomKeyStoreId").length(1, 64).optional(),
            name: members.text("CustomKeyStoreName").length(1, 256).optional(),
            page: PageRequest::read(members, 100, 1000),
        }
    }
}

impl DescribeInput {
    /// # Errors
    /// ValidationException if both are given.
    pub(super) fn selection(&self) -> Result<Selection, KmsError> {
        match (self.id.clone(), self.name.clone()) {
            (None, None) => Ok(Selection::All),
            (Some(id), None) => Ok(Selection::Id(id)),
            (None, Some(name)) => Ok(Selection::Name(name)),
            (Some(_), Some(_)) => Err(KmsError::validation(
                "Specify CustomKeyStoreId or CustomKeyStoreName, but not both.",
            )),
        }
    }
}

/// Which stores are described.
pub(super) enum Selection {
    All,
    Id(String),
    Name(String),
}
