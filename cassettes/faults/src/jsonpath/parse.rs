//! From text to a path or a filter expression, by recursive descent that is no deeper than the expression may nest.

use serde_json::Value;

use super::{Comparison, Expression, MOST_BYTES, MOST_NESTED, Operand, Query, Segment, Selector};

type Parsed<T> = Result<T, String>;

/// A whole path: `$…`, or `{…}` as for `kubectl -o jsonpath`, where the leading `$` may be left out.
pub(super) fn path(text: &str) -> Parsed<Query> {
    let trimmed = text.trim();
    let braced = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::trim);
    let mut parser = Parser::new(text, braced.unwrap_or(trimmed), braced.is_some())?;
    let rooted = parser.eat("$") || (braced.is_some() && parser.eat("@"));
    if !rooted && braced.is_none() {
        return Err(parser.wanted("`$`"));
    }
    let segments = parser.segments()?;
    parser.end()?;
    Ok(Query { from_root: true, segments })
}

/// A whole filter expression.
pub(super) fn filter(text: &str) -> Parsed<Expression> {
    let mut parser = Parser::new(text, text.trim(), false)?;
    let expression = parser.any()?;
    parser.end()?;
    Ok(expression)
}

struct Parser<'t> {
    /// The text as it was given, for messages.
    whole: &'t str,
    text: &'t str,
    rest: &'t str,
    /// kubectl's names may have dashes, slashes and escaped dots.
    kubectl: bool,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(whole: &'t str, text: &'t str, kubectl: bool) -> Parsed<Self> {
        if text.len() > MOST_BYTES {
            return Err(format!("the expression is longer than {MOST_BYTES} bytes"));
        }
        Ok(Self { whole, text, rest: text, kubectl, depth: 0 })
    }

    // === signs ===

    fn eat(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Eats a sign and the space before it.
    fn sign(&mut self, sign: &str) -> bool {
        self.space();
        self.eat(sign)
    }

    fn need(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.wanted(&format!("`{sign}`"))) }
    }

    fn end(&mut self) -> Parsed<()> {
        self.space();
        if self.rest.is_empty() { Ok(()) } else { Err(self.wanted("the end")) }
    }

    fn wanted(&self, what: &str) -> String {
        let at = self.text.len() - self.rest.len();
        let character = self.text.get(..at).unwrap_or_default().chars().count() + 1;
        format!("`{}` is no JSONPath: {what} is missing at character {character}", self.whole.trim())
    }

    fn wrong(&self, why: &str) -> String {
        format!("`{}` is no JSONPath: {why}", self.whole.trim())
    }

    /// Goes one level deeper while `read` does.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MOST_NESTED {
            return Err(self.wrong(&format!("it nests deeper than {MOST_NESTED} levels")));
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    // === paths ===

    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.rest;
            self.space();
            let deep = self.eat("..");
            if deep && !self.rest.starts_with('[') {
                segments.push(Segment { deep, selectors: vec![self.shorthand()?] });
            } else if self.eat("[") {
                segments.push(Segment { deep, selectors: self.nested(Self::brackets)? });
            } else if self.eat(".") {
                // kubectl takes `.['a']` and `.[0]`.
                if self.kubectl && self.rest.starts_with('[') {
                    continue;
                }
                segments.push(Segment { deep, selectors: vec![self.shorthand()?] });
            } else {
                self.rest = before;
                return Ok(segments);
            }
        }
    }

    /// What stands behind a dot.
    fn shorthand(&mut self) -> Parsed<Selector> {
        if self.eat("*") {
            return Ok(Selector::Wildcard);
        }
        let mut name = String::new();
        let mut rest = self.rest;
        while let Some(c) = rest.chars().next() {
            let escaped = self.kubectl && c == '\\';
            let c = if escaped { rest.chars().nth(1).unwrap_or(c) } else { c };
            let first = name.is_empty();
            let letter = c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() || (!first && c.is_ascii_digit());
            if !(letter || escaped || (self.kubectl && (matches!(c, '-' | '/') || c.is_ascii_digit()))) {
                break;
            }
            rest = rest.get(usize::from(escaped) + c.len_utf8()..).unwrap_or_default();
            name.push(c);
        }
        self.rest = rest;
        if name.is_empty() { Err(self.wanted("a name")) } else { Ok(Selector::Name(name)) }
    }

    fn brackets(&mut self) -> Parsed<Vec<Selector>> {
        let mut selectors = vec![self.selector()?];
        while self.sign(",") {
            selectors.push(self.selector()?);
        }
        self.need("]")?;
        Ok(selectors)
    }

    fn selector(&mut self) -> Parsed<Selector> {
        self.space();
        if self.eat("*") {
            return Ok(Selector::Wildcard);
        }
        if self.eat("?") {
            return self.any().map(Selector::Filter);
        }
        if self.rest.starts_with(['\'', '"']) {
            return self.string().map(Selector::Name);
        }
        let start = self.integer()?;
        if !self.sign(":") {
            return start.map(Selector::Index).ok_or_else(|| self.wanted("a name, a number, `*` or `?`"));
        }
        self.space();
        let end = self.integer()?;
        let step = if self.sign(":") {
            self.space();
            self.integer()?.unwrap_or(1)
        } else {
            1
        };
        Ok(Selector::Slice { start, end, step })
    }

    fn integer(&mut self) -> Parsed<Option<i64>> {
        let sign = usize::from(self.rest.starts_with('-'));
        let digits = self.rest.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return if sign == 0 { Ok(None) } else { Err(self.wanted("a number")) };
        }
        let (text, rest) = self.rest.split_at(sign + digits);
        // What JSON itself can count exactly.
        let number = text.parse::<i64>().ok().filter(|n| n.unsigned_abs() < 1 << 53);
        let number = number.ok_or_else(|| self.wrong(&format!("{text} is too large")))?;
        self.rest = rest;
        Ok(Some(number))
    }

    fn string(&mut self) -> Parsed<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next().unwrap_or('"');
        let mut text = String::new();
        loop {
            match chars.next() {
                None => return Err(self.wrong("a quote is not closed")),
                Some(c) if c == quote => break,
                Some('\\') => {
                    let escaped = escape(&mut chars, quote).ok_or_else(|| self.wrong("a backslash escapes nothing"))?;
                    text.push(escaped);
                }
                Some(c) if c < ' ' => return Err(self.wrong("a quoted text has a control character")),
                Some(c) => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }

    // === expressions ===

    fn any(&mut self) -> Parsed<Expression> {
        let mut parts = vec![self.all()?];
        while self.sign("||") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expression::Any))
    }

    fn all(&mut self) -> Parsed<Expression> {
        let mut parts = vec![self.basic()?];
        while self.sign("&&") {
            parts.push(self.basic()?);
        }
        Ok(one_or(parts, Expression::All))
    }

    fn basic(&mut self) -> Parsed<Expression> {
        if self.sign("!") {
            let negated = self.nested(Self::basic)?;
            return match negated {
                Expression::Compare(..) => Err(self.wrong("`!` before a comparison needs parentheses")),
                other => Ok(Expression::Not(Box::new(other))),
            };
        }
        if self.eat("(") {
            let inner = self.nested(Self::any)?;
            self.need(")")?;
            // Kept apart, so that `!(a == b)` is told from `!a == b`.
            return Ok(Expression::All(vec![inner]));
        }
        let (left, query) = self.operand()?;
        let Some(comparison) = self.comparison() else {
            return query
                .map(Expression::Exists)
                .ok_or_else(|| self.wrong("a value alone is no condition; compare it"));
        };
        self.space();
        let (right, _) = self.operand()?;
        match (left, right) {
            (Some(left), Some(right)) => Ok(Expression::Compare(left, comparison, right)),
            _ => Err(self.wrong("a comparison needs a path to one value, without `*`, `..`, slices and filters")),
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        SIGNS.into_iter().find(|(sign, _)| self.sign(sign)).map(|(_, comparison)| comparison)
    }

    /// What can be compared, and what can stand alone.
    fn operand(&mut self) -> Parsed<(Option<Operand>, Option<Query>)> {
        if self.rest.starts_with(['@', '$']) {
            let query = self.query()?;
            let value = query.is_singular().then(|| Operand::Value(query.clone()));
            return Ok((value, Some(query)));
        }
        if self.rest.starts_with(['\'', '"']) {
            return Ok((Some(Operand::Literal(Value::String(self.string()?))), None));
        }
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if self.eat(word) {
                return Ok((Some(Operand::Literal(value)), None));
            }
        }
        let letters = self.rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let word = self.rest.get(..letters).unwrap_or_default();
        if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.function(word).map(|operand| (Some(operand), None));
        }
        self.number().map(|number| (Some(Operand::Literal(number)), None))
    }

    fn query(&mut self) -> Parsed<Query> {
        let from_root = self.eat("$");
        if !from_root && !self.eat("@") {
            return Err(self.wanted("`@` or `$`"));
        }
        Ok(Query { from_root, segments: self.segments()? })
    }

    fn function(&mut self, name: &str) -> Parsed<Operand> {
        if !matches!(name, "length" | "count") {
            return Err(self.wrong(&format!("there is no function `{name}`; known are length, count")));
        }
        self.eat(name);
        self.need("(")?;
        self.space();
        let operand = if name == "count" {
            Operand::Count(self.query()?)
        } else {
            let (operand, _) = self.nested(Self::operand)?;
            Operand::Length(Box::new(operand.ok_or_else(|| self.wrong("`length` needs a path to one value"))?))
        };
        self.need(")")?;
        Ok(operand)
    }

    fn number(&mut self) -> Parsed<Value> {
        let length = self.rest.bytes().take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b)).count();
        let (text, rest) = self.rest.split_at(length);
        let number = serde_json::from_str::<serde_json::Number>(text);
        let number = number.map_err(|_| self.wanted("a path, a number or a quoted text"))?;
        self.rest = rest;
        Ok(Value::Number(number))
    }
}

fn one_or(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// The character that stands for what follows a backslash.
fn escape(chars: &mut std::str::Chars<'_>, quote: char) -> Option<char> {
    match chars.next()? {
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        c @ ('/' | '\\') => Some(c),
        'u' => {
            let high = unit(chars)?;
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high);
            }
            let low = (chars.next()? == '\\' && chars.next()? == 'u').then(|| unit(chars)).flatten()?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            char::from_u32(0x10000 + (high - 0xd800) * 0x400 + low)
        }
        c if c == quote => Some(c),
        _ => None,
    }
}

fn unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + chars.next()?.to_digit(16)?))
}
