//! A delete request in the manifest.
//!
//! ```text
//! tenant text | created zigzag varint | start zigzag varint | end zigzag varint
//! | matchers varint | matchers × { operator u8 | name text | value text }
//! | filter u8: 0 every entry, 1 a substring, 2 what the text is compiled to | substring bytes, for 1
//! | text
//! ```

use super::{DeleteBody, DeleteFilter};
use crate::codec::{Reader, put_bytes, put_varint, unzigzag, zigzag};
use crate::{MatchOp, TenantId, TimeRange};

const OPERATORS: [MatchOp; 4] =
    [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches];

const EVERY: u8 = 0;
const CONTAINS: u8 = 1;
const COMPILED: u8 = 2;

/// Appends a request.
pub(crate) fn put_body(out: &mut Vec<u8>, body: &DeleteBody) {
    put_bytes(out, body.tenant.as_str().as_bytes());
    for time in [body.created, body.range.start, body.range.end] {
        put_varint(out, zigzag(time));
    }
    put_varint(out, u64::try_from(body.matchers.len()).unwrap_or(u64::MAX));
    for (op, name, value) in &body.matchers {
        let number = OPERATORS.iter().position(|other| other == op).unwrap_or(0);
        out.push(u8::try_from(number).unwrap_or(0));
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    match &body.filter {
        DeleteFilter::Every => out.push(EVERY),
        DeleteFilter::Contains(needle) => {
            out.push(CONTAINS);
            put_bytes(out, needle);
        }
        DeleteFilter::Compiled => out.push(COMPILED),
    }
    put_bytes(out, body.text.as_bytes());
}

/// Reads a request; `None` for bytes that are none.
pub(crate) fn get_body(reader: &mut Reader<'_>) -> Option<DeleteBody> {
    let tenant = TenantId::new(reader.text()?).ok()?;
    let created = unzigzag(reader.varint()?);
    let range = TimeRange::new(unzigzag(reader.varint()?), unzigzag(reader.varint()?));
    let mut matchers = Vec::new();
    for _ in 0..reader.varint()? {
        let op = *OPERATORS.get(usize::from(reader.u8()?))?;
        matchers.push((op, reader.text()?.into(), reader.text()?.into()));
    }
    let filter = match reader.u8()? {
        EVERY => DeleteFilter::Every,
        CONTAINS => DeleteFilter::Contains(reader.bytes()?.into()),
        COMPILED => DeleteFilter::Compiled,
        _ => return None,
    };
    let text = reader.text()?.into();
    Some(DeleteBody { tenant, range, matchers, filter, text, created })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_and_cut_ones_do_not() {
        for filter in [
            DeleteFilter::Every,
            DeleteFilter::Contains((*b"\xff=").into()),
            DeleteFilter::Compiled,
        ] {
            let matchers = OPERATORS.map(|op| (op, "app".into(), "x|y".into()));
            let body = DeleteBody {
                tenant: TenantId::new("acme").unwrap(),
                range: TimeRange::ALL,
                matchers: matchers.into(),
                filter,
                text: "{app=~\"x|y\"}".into(),
                created: -7,
            };
            let mut bytes = Vec::new();
            put_body(&mut bytes, &body);
            let mut reader = Reader::new(&bytes);
            assert_eq!(get_body(&mut reader), Some(body));
            assert!(reader.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(get_body(&mut Reader::new(&bytes[..cut])), None, "cut at {cut}");
            }
        }
    }
}
