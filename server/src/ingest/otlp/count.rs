//! How many parts a request has, found out without making them.

use prost::encoding::WireType;

use super::super::protobuf::Fields;
use super::super::push::DecodeError;

/// How deep values may lie in values: what the decoder behind this takes.
const DEPTH_MAX: usize = 100;

/// The kinds of message that hold others.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    ResourceLogs,
    ScopeLogs,
    LogRecord,
    Resource,
    Scope,
    KeyValue,
    Value,
    List,
    KeyValueList,
}

impl Kind {
    /// What a field of this number holds, where it is a message.
    const fn child(self, tag: u32) -> Option<Self> {
        match (self, tag) {
            (Self::Request, 1) => Some(Self::ResourceLogs),
            (Self::ResourceLogs, 1) => Some(Self::Resource),
            (Self::ResourceLogs, 2) => Some(Self::ScopeLogs),
            (Self::ScopeLogs, 1) => Some(Self::Scope),
            (Self::ScopeLogs, 2) => Some(Self::LogRecord),
            (Self::LogRecord, 5) | (Self::KeyValue, 2) | (Self::List, 1) => Some(Self::Value),
            (Self::LogRecord, 6)
            | (Self::Resource, 1)
            | (Self::Scope, 3)
            | (Self::KeyValueList, 1) => Some(Self::KeyValue),
            (Self::Value, 5) => Some(Self::List),
            (Self::Value, 6) => Some(Self::KeyValueList),
            _ => None,
        }
    }
}

/// How many messages lie in a request in protobuf.
pub(super) fn protobuf_nodes(body: &[u8]) -> Result<usize, DecodeError> {
    let mut nodes = 0;
    count(body, Kind::Request, 0, &mut nodes)?;
    Ok(nodes)
}

fn count(body: &[u8], kind: Kind, depth: usize, nodes: &mut usize) -> Result<(), DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::malformed("values lie too deep in values"));
    }
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match kind.child(tag) {
            Some(child) if wire == WireType::LengthDelimited => {
                *nodes += 1;
                count(fields.bytes(wire)?, child, depth + 1, nodes)?;
            }
            _ => fields.skip(tag, wire)?,
        }
    }
    Ok(())
}

/// How many objects and lists a request in JSON has, at the most: brackets in texts count, too.
pub(super) fn json_nodes(body: &[u8]) -> usize {
    memchr::memchr2_iter(b'{', b'[', body).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_messages_are_counted() {
        // A resource with two attributes, a scope with three records, one of them with a body.
        let body = [
            0x0a, 24, // resource logs
            0x0a, 10, 0x0a, 3, 0x0a, 1, b'a', 0x0a, 3, 0x0a, 1, b'b', // resource
            0x12, 10, 0x12, 0, 0x12, 0, 0x12, 4, 0x2a, 2, 0x10, 1, // scope logs
        ];
        assert_eq!(protobuf_nodes(&body), Ok(9));
        assert!(protobuf_nodes(&body[..20]).is_err(), "cut off");
        assert_eq!(protobuf_nodes(&[0x12, 2, 0x0a, 0]), Ok(0), "unknown fields are passed over");
    }

    #[test]
    fn depth_is_bounded() {
        let mut value = vec![0x10, 1];
        for _ in 0..300 {
            // A list with the value, in a value.
            for tag in [0x0a, 0x2a] {
                let mut outer = vec![tag];
                prost::encoding::encode_varint(value.len() as u64, &mut outer);
                outer.extend_from_slice(&value);
                value = outer;
            }
        }
        for tag in [0x2a, 0x12, 0x12, 0x0a] {
            let mut outer = vec![tag];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.extend_from_slice(&value);
            value = outer;
        }
        assert!(protobuf_nodes(&value).is_err());
    }

    #[test]
    fn brackets_are_counted() {
        assert_eq!(json_nodes(br#"{"a":[{},{"b":"{"}]}"#), 5);
    }
}
