//! The parser of label selector texts.
//!
//! Counterpart: the parser of apimachinery `labels`, error texts included.

use super::label::{Operator, Requirement, checked, key_error};
use super::lexer::{Token, words};

/// Parses a text into requirements, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    Parser { words: words(text), at: 0 }.selector()
}

struct Parser<'a> {
    words: Vec<(Token, &'a str)>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The next word, `in` and `notin` read as identifiers.
    fn peek(&self) -> (Token, &'a str) {
        match self.raw() {
            (Token::In | Token::NotIn, text) => (Token::Identifier, text),
            word => word,
        }
    }

    fn raw(&self) -> (Token, &'a str) {
        self.words.get(self.at).copied().unwrap_or((Token::End, ""))
    }

    fn take(&mut self) -> (Token, &'a str) {
        let word = self.peek();
        self.at += 1;
        word
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::DoesNotExist, _) => {
                    requirements.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
                }
                (Token::End, _) => return Ok(requirements),
                (_, text) => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
            }
            match self.take() {
                (Token::End, _) => return Ok(requirements),
                (Token::Comma, _) => {}
                (_, text) => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
            }
            match self.peek() {
                (Token::Identifier | Token::DoesNotExist, _) => {}
                (_, text) => return Err(format!("found '{text}', expected: identifier after ','")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take();
        let negated = token == Token::DoesNotExist;
        if negated {
            (token, key) = self.take();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        // The path is a nil pointer here, and Go prints it as one.
        if let Some(error) = key_error(key, "<nil>") {
            return Err(error.to_string());
        }
        if negated {
            return checked(key, Operator::DoesNotExist, &[]);
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return checked(key, Operator::Exists, &[]);
        }
        let operator = self.operator()?;
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort();
        values.dedup();
        checked(key, operator, &values)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let (token, text) = self.raw();
        self.at += 1;
        Ok(match token {
            Token::In => Operator::In,
            Token::NotIn => Operator::NotIn,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::NotEquals => Operator::NotEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            _ => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take() {
            (Token::Identifier, text) => Ok(text.to_owned()),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, text) = self.take();
        if token != Token::OpenPar {
            return Err(format!("found '{text}' expected: '('"));
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, first) => {
                let list = self.identifiers()?;
                match self.take().0 {
                    Token::ClosedPar => Ok(list),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            (Token::ClosedPar, _) => {
                self.at += 1;
                Ok(Vec::new())
            }
            (_, text) => Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<Vec<String>, String> {
        let mut list: Vec<String> = Vec::new();
        loop {
            match self.take() {
                (Token::Identifier, text) => {
                    list.push(text.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::ClosedPar, _) => return Ok(list),
                        (_, text) => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if list.is_empty() {
                        list.push(String::new());
                    }
                    match self.peek().0 {
                        Token::ClosedPar => {
                            list.push(String::new());
                            return Ok(list);
                        }
                        Token::Comma => {
                            self.at += 1;
                            list.push(String::new());
                        }
                        _ => {}
                    }
                }
                (_, text) => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
    }
}
