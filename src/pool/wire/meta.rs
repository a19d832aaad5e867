//! The optional frame of metadata: a MessagePack map from short names to values. Either side may know more names than
//! the other; unknown ones are skipped, absent ones have their default.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::WireError;
use crate::message::Frame;

/// The largest that is read. A worker's list of running tasks is the longest thing in one.
const MAX: usize = 256 * 1024;

/// Of a SUBMIT: whatever its header has no place for. Of a TASK: the queue's name and the trace only.
#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct TaskMeta {
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Blob>,
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<u8>,
    #[serde(rename = "k", skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Blob>,
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    pub(crate) dedup: Option<Blob>,
    /// Milliseconds.
    #[serde(rename = "w", skip_serializing_if = "is_zero")]
    pub(crate) delay: u64,
    #[serde(rename = "t", skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Blob>,
    /// A `traceparent`.
    #[serde(rename = "x", skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Blob>,
}

/// Of a client's HELLO.
#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct ClientMeta {
    #[serde(rename = "n")]
    pub(crate) name: Blob,
}

/// Of a worker's HELLO.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct WorkerMeta {
    #[serde(rename = "n")]
    pub(crate) name: Blob,
    #[serde(rename = "q")]
    pub(crate) queues: Vec<Blob>,
    #[serde(rename = "c")]
    pub(crate) capacity: u32,
    #[serde(rename = "f", skip_serializing_if = "is_zero_u32")]
    pub(crate) prefetch: u32,
    #[serde(rename = "t", skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Blob>,
    #[serde(rename = "w")]
    pub(crate) weight: f64,
    /// Tasks and attempts.
    #[serde(rename = "r", skip_serializing_if = "Vec::is_empty")]
    pub(crate) running: Vec<(u64, u32)>,
}

impl Default for WorkerMeta {
    fn default() -> Self {
        Self {
            name: Blob::default(),
            queues: Vec::new(),
            capacity: 1,
            prefetch: 0,
            tags: Vec::new(),
            weight: 1.0,
            running: Vec::new(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

/// A name, as bytes; read from text as well.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Blob(pub(crate) Frame);

impl From<&str> for Blob {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes or text")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Frame::copy_from_slice(bytes)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Blob, E> {
                self.visit_bytes(text.as_bytes())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// As a frame.
pub(crate) fn encode(meta: &impl Serialize) -> Frame {
    // Writing into memory cannot fail, and these types have nothing that MessagePack has not.
    rmp_serde::to_vec_named(meta).unwrap_or_default().into()
}

/// From a frame.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<T, WireError> {
    if frame.len() > MAX {
        return Err(WireError::MetaTooLong);
    }
    rmp_serde::from_slice(frame).map_err(|_| WireError::BadMeta)
}
