//! `application/x-www-form-urlencoded`: the parameters of a query, the fields of a form.

/// The fields of a form, or the parameters of a query.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads them; whatever is wrong stands for itself.
    pub fn read(text: &str) -> Self {
        let text_of = |text: &str| String::from_utf8_lossy(&decoded(text)).into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text_of(name), text_of(value))
        });
        Self(fields.collect())
    }

    /// What the field has; an empty field has nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The names of all fields, also of those that have nothing.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Every value of a name.
    pub fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        let values = named.map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }
}

/// `%2F` → `/` and `+` → a space; a percent sign that begins no escape stands for itself.
pub fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (other, _) => *other,
        });
    }
    bytes
}

fn nibble(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_empty_ones_are_none() {
        let fields = Fields::read("name=a+b%3C&empty=&op=Encrypt&op=Decrypt&n=12&&flag&odd=%zz%4");
        assert_eq!(fields.get("name"), Some("a b<"));
        assert_eq!((fields.get("empty"), fields.get("flag")), (None, None));
        assert_eq!(fields.all("op").collect::<Vec<_>>(), ["Encrypt", "Decrypt"]);
        assert_eq!(fields.get("odd"), Some("%zz%4"));
    }
}
