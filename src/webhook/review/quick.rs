//! A question, read quickly: the same fields as by `serde`, which is asked wherever this says nothing.

use crate::kit::json::{Cursor, Quick, once};
use crate::webhook::review::{Request, Review};

impl<'a, T: Quick<'a>> Quick<'a> for Review<'a, T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let (mut api_version, mut kind, mut request) = (None, None, None);
        let keys: [&[u8]; 3] = [b"apiVersion", b"kind", b"request"];
        json.fields(&keys, |json, number| match number {
            0 => once(&mut api_version, json),
            1 => once(&mut kind, json),
            _ => once(&mut request, json),
        })?;
        Some(Self {
            api_version: api_version.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            request: request.unwrap_or_default(),
        })
    }
}

const KEYS_OF_REQUEST: [&[u8]; 7] = [
    b"uid",
    b"operation",
    b"namespace",
    b"name",
    b"dryRun",
    b"object",
    b"oldObject",
];

impl<'a, T: Quick<'a>> Quick<'a> for Request<'a, T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let (mut uid, mut operation, mut namespace, mut name) = (None, None, None, None);
        let (mut dry_run, mut object, mut old_object) = (None, None, None);
        json.fields(&KEYS_OF_REQUEST, |json, number| match number {
            0 => once(&mut uid, json),
            1 => once(&mut operation, json),
            2 => once(&mut namespace, json),
            3 => once(&mut name, json),
            4 => once(&mut dry_run, json),
            5 => once(&mut object, json),
            _ => once(&mut old_object, json),
        })?;
        Some(Self {
            uid: uid?,
            operation: operation.unwrap_or_default(),
            namespace: namespace.unwrap_or_default(),
            name: name.unwrap_or_default(),
            dry_run: dry_run.unwrap_or_default(),
            object: object.unwrap_or_default(),
            old_object: old_object.unwrap_or_default(),
        })
    }
}
