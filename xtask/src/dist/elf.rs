//! Whether a program for Linux runs by itself, by its program headers (ELF-64, little-endian).

/// The header that names the loader (`PT_INTERP`).
const INTERPRETER: u32 = 3;

/// Whether it is an ELF program that asks for no loader.
pub fn is_static(bytes: &[u8]) -> bool {
    headers(bytes).is_some_and(|kinds| !kinds.contains(&INTERPRETER))
}

/// The kinds of its program headers.
fn headers(bytes: &[u8]) -> Option<Vec<u32>> {
    // The magic number, 64 bits, little-endian.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let two = |at: usize| -> Option<usize> {
        let field = bytes.get(at..at + 2)?;
        Some(u16::from_le_bytes(field.try_into().ok()?).into())
    };
    let table = u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?);
    let (size, count) = (two(54)?, two(56)?);
    let table = usize::try_from(table).ok()?;
    (0..count)
        .map(|number| {
            let at = table.checked_add(number * size)?;
            let kind = bytes.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(kind.try_into().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_static() {
        assert!(is_static(&program(&[1, 2, 6])));
        assert!(!is_static(&program(&[1, 3])));
        assert!(!is_static(&program(&[1, 2])[..100]));
        assert!(!is_static(b"#!/bin/sh"));
        // This test is run by a loader.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
    }
}
