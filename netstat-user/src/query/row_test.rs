//! Conditions of rows as bytes, and back.

use super::QueryError;
use super::bits::{bits_of_protos, protos_of};
use super::codec::{Read, Wire};
use crate::model::RowTest;
use bytes::{Bytes, BytesMut};

/// Most conditions and processes of one request: each is looked at for every row. No deeper do conditions nest, which are walked by recursion.
const MOST: usize = 128;

impl Wire for RowTest {
    fn put(&self, out: &mut BytesMut) {
        let list = |out: &mut BytesMut, tag: u8, list: &Vec<Self>| {
            tag.put(out);
            list.put(out);
        };
        match self {
            Self::All(all) => list(out, 0, all),
            Self::Any(any) => list(out, 1, any),
            Self::Not(inner) => {
                2u8.put(out);
                inner.put(out);
            }
            Self::Protos(protos) => {
                3u8.put(out);
                bits_of_protos(protos).put(out);
            }
            Self::States(states) => {
                4u8.put(out);
                states.put(out);
            }
            Self::NamedStates { states, unnamed } => {
                5u8.put(out);
                states.put(out);
                unnamed.put(out);
            }
            Self::Family { local, v6 } => {
                6u8.put(out);
                local.put(out);
                v6.put(out);
            }
            Self::Addr { local, net, mapped } => {
                7u8.put(out);
                local.put(out);
                net.put(out);
                mapped.put(out);
            }
            Self::Number { number, first, last } => {
                8u8.put(out);
                number.put(out);
                first.put(out);
                last.put(out);
            }
            Self::HeldBy(pids) => {
                9u8.put(out);
                pids.put(out);
            }
        }
    }

    fn get(body: &mut Bytes) -> Read<Self> {
        get(body, &mut { MOST })
    }
}

/// Reads conditions, and takes them off those that are left.
fn get(body: &mut Bytes, left: &mut usize) -> Read<RowTest> {
    *left = left.checked_sub(1).ok_or(QueryError::Garbage)?;
    // Collected as they come: a length that lies asks for no memory.
    let mut list = |body: &mut Bytes| -> Read<Vec<RowTest>> { (0..u32::get(body)?).map(|_| get(body, left)).collect() };
    Ok(match u8::get(body)? {
        0 => RowTest::All(list(body)?),
        1 => RowTest::Any(list(body)?),
        2 => RowTest::Not(Box::new(get(body, left)?)),
        3 => RowTest::Protos(protos_of(Wire::get(body)?)),
        4 => RowTest::States(Wire::get(body)?),
        5 => RowTest::NamedStates { states: Wire::get(body)?, unnamed: Wire::get(body)? },
        6 => RowTest::Family { local: Wire::get(body)?, v6: Wire::get(body)? },
        7 => RowTest::Addr { local: Wire::get(body)?, net: Wire::get(body)?, mapped: Wire::get(body)? },
        8 => RowTest::Number { number: Wire::get(body)?, first: Wire::get(body)?, last: Wire::get(body)? },
        9 => {
            let pids: Vec<u32> = Wire::get(body)?;
            *left = left.checked_sub(pids.len()).ok_or(QueryError::Garbage)?;
            RowTest::HeldBy(pids)
        }
        _ => return Err(QueryError::Garbage),
    })
}
