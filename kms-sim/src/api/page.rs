//! Paging: `Limit`, `Marker`, `Truncated`, `NextMarker`.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::KmsError;
use super::members::Members;

/// Which part of a list a client wants.
#[derive(Debug)]
pub(crate) struct PageRequest {
    limit: usize,
    marker: Option<String>,
}

impl PageRequest {
    /// Takes `Limit` (1 to 1,000, of which at most `max` are given; `default` if absent) and `Marker`.
    pub(crate) fn read(members: &mut Members<'_>, default: u16, max: u16) -> Self {
        let limit = members
            .integer("Limit")
            .range(1, 1000)
            .unwrap_or(default)
            .min(max);
        let marker = members
            .text("Marker")
            .length(1, 1024)
            .pattern("[\\u0020-\\u00FF]*", |text| {
                text.chars().all(|c| ('\u{20}'..='\u{ff}').contains(&c))
            })
            .optional();
        Self {
            limit: limit.into(),
            marker,
        }
    }

    /// The next page; `items` gives those after a key, in the order of their unique `key`, without looking at the
    /// others, so that a page costs the same wherever it is.
    ///
    /// The marker names the last item that was sent, so that additions and deletions between two pages neither
    /// repeat nor lose another item.
    ///
    /// # Errors
    /// InvalidMarkerException for a marker that no page gave.
    pub(crate) fn page<T, I: Iterator<Item = T>>(
        &self,
        items: impl FnOnce(Bound<&str>) -> I,
        key: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, KmsError> {
        let after = self.marker.as_deref().map(decode).transpose()?;
        let after = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = items(after);
        let items: Vec<T> = rest.by_ref().take(self.limit).collect();
        let next_marker = rest
            .next()
            .and_then(|_| items.last())
            .map(|last| marker(key(last)));
        Ok(Page { items, next_marker })
    }

    /// As [`page`](Self::page), for short lists that must be looked at from their start.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub(crate) fn page_of<T>(
        &self,
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, KmsError> {
        let from = |after: Bound<&str>| {
            let after = match after {
                Bound::Included(after) | Bound::Excluded(after) => Some(after.to_owned()),
                Bound::Unbounded => None,
            };
            let mut items = items.peekable();
            let seen = |item: &T| after.as_deref().is_some_and(|after| key(item) <= after);
            while items.next_if(seen).is_some() {}
            items
        };
        self.page(from, &key)
    }
}

/// One page; there are more if it has a marker.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_marker: Option<String>,
}

impl<T> Page<T> {
    /// `Truncated`
    pub(crate) const fn truncated(&self) -> bool {
        self.next_marker.is_some()
    }
}

/// `1` and the key, in base64: opaque to clients, and a text that was never given is recognized.
pub(crate) fn marker(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}{key}"))
}

fn decode(marker: &str) -> Result<String, KmsError> {
    URL_SAFE_NO_PAD
        .decode(marker)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(VERSION).map(str::to_owned))
        .ok_or_else(|| {
            KmsError::new(
                "InvalidMarkerException",
                "The marker that specifies where pagination should next begin is not valid. Use the NextMarker of \
                 the previous response, unchanged.",
            )
        })
}

const VERSION: &str = "1:";

#[cfg(test)]
mod tests {
    use super::*;

    fn request(limit: usize, marker: Option<&str>) -> PageRequest {
        PageRequest {
            limit,
            marker: marker.map(str::to_owned),
        }
    }

    #[test]
    fn pages_cover_every_item_once() {
        let all: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
        for limit in 1..30 {
            let mut seen = Vec::new();
            let mut marker = None;
            loop {
                let page = request(limit, marker.as_deref())
                    .page_of(all.iter(), |item| item)
                    .unwrap();
                assert!(page.items.len() <= limit);
                assert_eq!(page.truncated(), page.next_marker.is_some());
                seen.extend(page.items.into_iter().cloned());
                marker = page.next_marker;
                if marker.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all, "limit {limit}");
        }
    }

    #[test]
    fn a_deleted_marker_item_does_not_matter_and_a_made_up_marker_does() {
        let first = request(1, None)
            .page_of(["a", "b", "c"].iter(), |item| item)
            .unwrap();
        let marker = first.next_marker.unwrap();
        let rest = request(5, Some(&marker))
            .page_of(["b", "c"].iter(), |item| item)
            .unwrap();
        assert_eq!(rest.items, [&"b", &"c"]);
        for bad in ["x", "", "YWJj", "a b"] {
            let error = request(5, Some(bad))
                .page_of(["b"].iter(), |item| item)
                .unwrap_err();
            assert_eq!(error.name(), "InvalidMarkerException", "{bad}");
        }
    }
}
