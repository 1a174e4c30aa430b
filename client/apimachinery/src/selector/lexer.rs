//! Words of the label selector language.
//!
//! Counterpart: the lexer of apimachinery `labels`. `in` and `notin` are keywords only where an operator may stand,
//! which is the parser's business.

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Identifier,
    In,
    NotIn,
    ClosedPar,
    OpenPar,
    Comma,
    DoesNotExist,
    Equals,
    DoubleEquals,
    NotEquals,
    GreaterThan,
    LessThan,
    End,
}

fn special(token: &str) -> Option<Token> {
    Some(match token {
        ")" => Token::ClosedPar,
        "(" => Token::OpenPar,
        "," => Token::Comma,
        "!" => Token::DoesNotExist,
        "=" => Token::Equals,
        "==" => Token::DoubleEquals,
        "!=" => Token::NotEquals,
        ">" => Token::GreaterThan,
        "<" => Token::LessThan,
        _ => return None,
    })
}

fn is_special(b: u8) -> bool {
    matches!(b, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// All words of `text`, the last one being [`Token::End`].
pub(super) fn words(text: &str) -> Vec<(Token, &str)> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if is_space(bytes[at]) {
            at += 1;
            continue;
        }
        let start = at;
        let token = if is_special(bytes[at]) {
            at += 1;
            while at < bytes.len() && is_special(bytes[at]) && special(&text[start..=at]).is_some() {
                at += 1;
            }
            special(&text[start..at]).unwrap_or(Token::Identifier)
        } else {
            while at < bytes.len() && !is_special(bytes[at]) && !is_space(bytes[at]) {
                at += 1;
            }
            match &text[start..at] {
                "in" => Token::In,
                "notin" => Token::NotIn,
                _ => Token::Identifier,
            }
        };
        out.push((token, &text[start..at]));
    }
    out.push((Token::End, ""));
    out
}
