//! Lists of numbers on the command line: `1,2,3`.

/// The token ids of a `--ids` flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

/// Reads `1,2,3`; spaces around the numbers are allowed.
pub(crate) fn parse(text: &str) -> Result<Ids, String> {
    let one = |item: &str| {
        let item = item.trim();
        item.parse().map_err(|_| {
            format!("`{}` is not a token id, expected numbers such as 1,2,3", item.escape_debug())
        })
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ids() {
        assert_eq!(parse("1, 22,333"), Ok(Ids(vec![1, 22, 333])));
        for bad in ["", "1,,2", "1,-2", "x", "4294967296", "1,\n"] {
            assert!(parse(bad).is_err_and(|message| !message.contains('\n')), "{bad:?}");
        }
    }
}
