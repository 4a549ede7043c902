//! A question, read quickly: the same fields as by `serde`, which is asked wherever this says nothing.

use crate::kit::json::{Cursor, Quick, once};
use crate::webhook::review::{Request, Review};

impl<'a, T: Quick<'a>> Quick<'a> for Review<'a, T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let (mut api_version, mut kind, mut request) = (None, None, None);
        json.fields(|json, key| match key {
            b"apiVersion" => once(&mut api_version, json),
            b"kind" => once(&mut kind, json),
            b"request" => once(&mut request, json),
            _ => json.unread(key),
        })?;
        Some(Self {
            api_version: api_version.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            request: request.unwrap_or_default(),
        })
    }
}

impl<'a, T: Quick<'a>> Quick<'a> for Request<'a, T> {
    fn quick(json: &mut Cursor<'a, '_>) -> Option<Self> {
        let (mut uid, mut operation, mut namespace, mut name) = (None, None, None, None);
        let (mut dry_run, mut object, mut old_object) = (None, None, None);
        json.fields(|json, key| match key {
            b"uid" => once(&mut uid, json),
            b"operation" => once(&mut operation, json),
            b"namespace" => once(&mut namespace, json),
            b"name" => once(&mut name, json),
            b"dryRun" => once(&mut dry_run, json),
            b"object" => once(&mut object, json),
            b"oldObject" => once(&mut old_object, json),
            _ => json.unread(key),
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
