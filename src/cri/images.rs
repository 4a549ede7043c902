//! Which image a container was made from, and which one stands under a name. An image is called by the digest of its configuration,
//! which names all of its layers: the same wherever it came from, whatever its tag means today.

use super::client::Cri;
use super::runtime::read;
use crate::kit::error::Error;
use crate::kit::protobuf::{self, Message, fields};

impl Cri {
    /// The image of a container; none where there is no such container.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn image_of(&self, container: &str) -> Result<Option<String>, Error> {
        let filter = Message::default().text(1, container);
        let request = Message::default().message(1, &filter);
        let answer = self.call("ListContainers", request).await?;
        let found = read("ListContainers", image_of(&answer, container))?;
        Ok(Some(found).filter(|id| !id.is_empty()))
    }

    /// The image that stands under this name here; none where there is none.
    ///
    /// # Errors
    /// Nobody answers, or with a refusal.
    pub async fn image(&self, name: &str) -> Result<Option<String>, Error> {
        let request = Message::default().message(1, &Message::default().text(1, name));
        let answer = self.call_of("ImageService", "ImageStatus", request).await?;
        let found = read("ImageStatus", image(&answer))?;
        Ok(Some(found).filter(|id| !id.is_empty()))
    }
}

/// Newer runtimes have a field for it; older ones say it where others may say a name. Empty where there is no such container.
fn image_of(answer: &[u8], container: &str) -> Option<String> {
    let answer = fields(answer)?;
    for item in protobuf::messages(&answer, 1) {
        let item = fields(item)?;
        if protobuf::text(&item, 1) == container {
            let said = [protobuf::text(&item, 10), protobuf::text(&item, 5)];
            return said.iter().map(|id| bare(id)).find(|id| !id.is_empty());
        }
    }
    Some(String::new())
}

/// Empty where there is none.
fn image(answer: &[u8]) -> Option<String> {
    let answer = fields(answer)?;
    let found = protobuf::messages(&answer, 1).next().unwrap_or_default();
    Some(bare(&protobuf::text(&fields(found)?, 1)))
}

/// Some say by which function it was made, and some do not.
#[must_use]
pub fn bare(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_says_its_image_in_either_place() {
        let older = Message::default().text(1, "a").text(5, "sha256:aaa");
        let newer = Message::default()
            .text(1, "b")
            .text(5, "docker.io/library/web@sha256:ccc")
            .text(10, "bbb");
        let answer = Message::default().message(1, &older).message(1, &newer);
        let answer = answer.into_bytes();
        for (container, image) in [("a", "aaa"), ("b", "bbb"), ("c", "")] {
            assert_eq!(image_of(&answer, container).unwrap(), image, "{container}");
        }
        assert_eq!(image_of(b"\x0a\x07", "a"), None, "it is cut off");
    }

    #[test]
    fn a_name_has_an_image_or_none() {
        let found = Message::default().text(1, "sha256:aaa").text(2, "web:1");
        let answer = Message::default().message(1, &found).into_bytes();
        assert_eq!(image(&answer).unwrap(), "aaa");
        assert_eq!(image(b"").unwrap(), "");
    }
}
