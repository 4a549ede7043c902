//! What a page of memory is known again by: quicker made than a digest, and worth something only to whoever made it. Its key is random and
//! never leaves the process, so nobody can make two pages with the same print, whatever he writes to them.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Of one page.
pub(crate) type Print = [u8; 16];

/// Makes prints: the one-time authenticator of ChaCha20-Poly1305, of nothing that is encrypted. That it is used more than once does no
/// harm, because nobody ever sees one.
pub(crate) struct Printer(LessSafeKey);

impl Printer {
    /// With a key of its own; none where there is nothing random.
    pub(crate) fn new() -> Option<Self> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).ok()?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Of these bytes; none where they are too many.
    pub(crate) fn of(&self, bytes: &[u8]) -> Option<Print> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []);
        made.ok()?.as_ref().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_again_and_by_nobody_else() {
        let [one, other] = [(); 2].map(|()| Printer::new().unwrap());
        let mut page = vec![7; 4096];
        let print = one.of(&page).unwrap();
        assert_eq!(one.of(&page), Some(print));
        assert_ne!(other.of(&page), Some(print));
        for changed in [0, 17, 4095] {
            page[changed] ^= 1;
            assert_ne!(one.of(&page), Some(print), "{changed}");
            page[changed] ^= 1;
        }
        assert_ne!(one.of(&page[..4095]), Some(print));
        assert_eq!(one.of(&page), Some(print));
    }
}
