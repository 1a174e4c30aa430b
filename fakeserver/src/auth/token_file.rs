//! Static bearer tokens: the file of `--token-auth-file`.
//!
//! Counterpart: apiserver `token/tokenfile`. Lines are CSV: `token,user,uid,"group1,group2"`. Only digests of the
//! tokens are kept.

use super::secret::{Token, TokenDigest};
use crate::strategies::UserInfo;
use std::collections::HashMap;
use thiserror::Error;

/// A token file that cannot be used. Never shows a token.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFileError {
    /// A record with fewer than three columns.
    #[error("token file must have at least 3 columns (token, user name, user uid), found {columns} in line {line}")]
    Columns {
        /// Line of the record, from 1.
        line: usize,
        /// Columns found.
        columns: usize,
    },
    /// A quote that is not closed, or one within a bare field.
    #[error("token file has a stray quote in line {line}")]
    Quote {
        /// Line of the record, from 1.
        line: usize,
    },
}

/// Users by static token.
#[derive(Clone, Debug, Default)]
pub struct TokenTable(HashMap<TokenDigest, UserInfo>);

impl TokenTable {
    /// Reads the CSV text of a token file. Records with an empty token are skipped, a later record wins over an
    /// earlier one with the same token.
    ///
    /// # Errors
    /// [`TokenFileError`] for a record that is no record of a token file.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut table = Self::default();
        for (line, record) in records(text)? {
            let [token, name, uid, rest @ ..] = record.as_slice() else {
                return Err(TokenFileError::Columns { line, columns: record.len() });
            };
            let groups = rest.first().map(|g| g.split(',').map(str::to_owned).collect()).unwrap_or_default();
            let user = UserInfo { name: name.clone(), uid: uid.clone(), groups, ..UserInfo::default() };
            if !token.is_empty() {
                table.insert(&Token::new(token), user);
            }
        }
        Ok(table)
    }

    /// Adds a token, or gives an existing one to another user.
    pub fn insert(&mut self, token: &Token, user: UserInfo) {
        self.0.insert(token.digest(), user);
    }

    /// The user of a token.
    #[must_use]
    pub fn user(&self, token: &Token) -> Option<&UserInfo> {
        self.0.get(&token.digest())
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// CSV records with the line each begins in; empty lines are skipped.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, TokenFileError> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let line = at + 1;
        if first.is_empty() {
            continue;
        }
        let mut record = first.to_owned();
        // A quoted field may hold line breaks: an odd number of quotes means that the record goes on.
        while record.matches('"').count() % 2 == 1 {
            let (_, more) = lines.next().ok_or(TokenFileError::Quote { line })?;
            record.push('\n');
            record.push_str(more);
        }
        records.push((line, fields(&record).ok_or(TokenFileError::Quote { line })?));
    }
    Ok(records)
}

/// The fields of one record; `None` for a quote where none may be.
fn fields(record: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), record);
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return None;
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// A field whose opening quote is gone, and what follows its closing quote.
fn quoted_field(mut rest: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_names_users_and_groups() {
        let table =
            TokenTable::parse("t1,admin,1,system:masters\n\nt2,\"do\"\"e\",2,\"a,b\"\nt3,x,3\n,nobody,4\n").unwrap();
        let user = |t: &str| table.user(&Token::new(t)).cloned();
        assert_eq!(user("t1").unwrap().groups, ["system:masters"]);
        let doe = user("t2").unwrap();
        assert_eq!(
            (doe.name.as_str(), doe.uid.as_str(), doe.groups),
            ("do\"e", "2", vec!["a".to_owned(), "b".to_owned()])
        );
        assert!(user("t3").unwrap().groups.is_empty());
        assert_eq!(user(""), None);
        assert!(!format!("{table:?}").contains("t1"));
    }

    #[test]
    fn broken_files_are_refused_without_showing_a_token() {
        for (text, error) in [
            ("secret,user\n", TokenFileError::Columns { line: 1, columns: 2 }),
            ("a,b,c\n\"secret,user,1\n", TokenFileError::Quote { line: 2 }),
            ("sec\"ret\",user,1\n", TokenFileError::Quote { line: 1 }),
        ] {
            let got = TokenTable::parse(text).unwrap_err();
            assert!(!got.to_string().contains("secret"));
            assert_eq!(got, error);
        }
    }
}
