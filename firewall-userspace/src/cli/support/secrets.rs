//! Passwords, tokens and keys, which nobody who helps needs: recognised by what they are called, and taken out.

use serde_json::Value;

/// What stands in their place.
const REMOVED: &str = "[removed]";

/// Parts of names of secrets, in small letters.
const NAMES: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "private_key",
    "private-key",
    "private key",
    "privatekey",
    "authorization",
];

/// Shortest secret that is looked for wherever it stands: a shorter one may be a word of anything.
const SHORTEST: usize = 6;

/// The secrets that were found so far.
#[derive(Debug, Default)]
pub struct Secrets {
    found: Vec<String>,
}

impl Secrets {
    /// `text` without secrets: those that it names, and those that were found before.
    pub fn without(&mut self, text: &str, is_json: bool) -> String {
        if is_json && let Ok(mut document) = serde_json::from_str::<Value>(text) {
            self.clean(&mut document);
            return serde_json::to_string_pretty(&document).unwrap_or_default();
        }
        let named = self.without_named(text);
        self.found.iter().fold(named, |text, secret| text.replace(secret, REMOVED))
    }

    /// The same of the strings of a document.
    fn clean(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.without(text, false),
            Value::Array(all) => all.iter_mut().for_each(|one| self.clean(one)),
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    match member {
                        // What has members is a table of things of that name.
                        Value::Null | Value::Object(_) => self.clean(member),
                        _ if is_secret(name) => *member = REMOVED.into(),
                        _ => self.clean(member),
                    }
                }
            }
            _ => {}
        }
    }

    /// Every line without the value of what is called like a secret.
    fn without_named(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        // What ends a secret that goes on over lines.
        let mut end: Option<&'static str> = None;
        for line in text.split_inclusive('\n') {
            let body = line.trim_end_matches(['\n', '\r']);
            if let Some(mark) = end {
                self.note(body, mark.len() == 1);
                end = end.filter(|_| !line.contains(mark));
                continue;
            }
            let begin = key_block(body).or_else(|| value_of_secret(body));
            match begin {
                Some(begin) => {
                    let (kept, value) = body.split_at(begin);
                    self.note(value, value.starts_with(['[', '{']));
                    end = unfinished(value);
                    out.push_str(&without_user(kept));
                    out.push_str(REMOVED);
                    out.push_str(line.get(body.len()..).unwrap_or_default());
                }
                None => out.push_str(&without_user(line)),
            }
        }
        out
    }

    /// Remembers what a value is, to find it elsewhere; of several, each that is in quotes.
    fn note(&mut self, value: &str, are_several: bool) {
        let value = value.trim();
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let inside: Vec<&str> = match quote {
            _ if are_several => value.split(['"', '\'']).skip(1).step_by(2).collect(),
            Some(quote) => value.trim_start_matches(quote).split(quote).take(1).collect(),
            None => value.split_whitespace().take(1).collect(),
        };
        let is_kept = |one: &&str| one.len() >= SHORTEST && !one.contains(REMOVED);
        self.found.extend(inside.into_iter().filter(is_kept).map(str::to_owned));
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|one| name.contains(one))
}

/// Where a private key begins in a line.
fn key_block(line: &str) -> Option<usize> {
    line.find("-----BEGIN").filter(|begin| line[*begin..].contains("PRIVATE KEY"))
}

/// Where the value of something begins whose name is that of a secret: behind `password = `, `token: `, `--secret `, `Bearer `.
fn value_of_secret(line: &str) -> Option<usize> {
    let small = line.to_ascii_lowercase();
    let bearer = small.find("bearer ").map(|begin| begin + "bearer ".len());
    let named = NAMES.iter().flat_map(|name| small.match_indices(name)).filter_map(|(begin, name)| {
        let behind = &small[begin + name.len()..];
        let rest =
            behind.trim_start_matches(|symbol: char| symbol.is_ascii_alphanumeric() || "_-\"'`".contains(symbol));
        let value = rest.trim_start();
        let before =
            small[..begin].trim_end_matches(|symbol: char| symbol.is_ascii_alphanumeric() || "_".contains(symbol));
        let value = match value.strip_prefix(['=', ':']) {
            Some(value) => value.trim_start(),
            // An option, and its value as the next word.
            None if before.ends_with('-') && rest.len() > value.len() => value,
            None => return None,
        };
        (!value.is_empty()).then(|| small.len() - value.len())
    });
    named.chain(bearer).min()
}

/// What ends `value`, when it does not end in its line.
fn unfinished(value: &str) -> Option<&'static str> {
    let ends = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}"), ("-----BEGIN", "-----END")];
    ends.into_iter().find_map(|(begin, end)| {
        let inside = value.strip_prefix(begin)?;
        (!inside.contains(end)).then_some(end)
    })
}

/// `line` without who logs in at the host of a URL: `https://user:word@host/`.
fn without_user(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("://") {
        let host =
            behind.split(|symbol: char| symbol == '/' || symbol.is_whitespace() || "\"'".contains(symbol)).next();
        let user = host.and_then(|host| host.rfind('@'));
        out.push_str(before);
        out.push_str("://");
        rest = match user {
            Some(at) => {
                out.push_str(REMOVED);
                &behind[at..]
            }
            None => behind,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> String {
        Secrets::default().without(text, false)
    }

    #[test]
    fn what_is_called_like_a_secret_has_no_value() {
        for (text, wanted) in [
            ("password = \"hunter22\" # mine\nport = 1\n", "password = [removed]\nport = 1\n"),
            ("# PrivateKey = abcdefghijkl\n", "# PrivateKey = [removed]\n"),
            ("private key: abc\nprivate-key: abc", "private key: [removed]\nprivate-key: [removed]"),
            ("#DB_PASSWORD=x\r\n", "#DB_PASSWORD=[removed]\r\n"),
            ("a = { api_key = 'k', b = 1 }", "a = { api_key = [removed]"),
            ("\"client-secret\": \"k\"", "\"client-secret\": [removed]"),
            ("Authorization: Basic abc", "Authorization: [removed]"),
            ("got Bearer abc.def", "got Bearer [removed]"),
            ("ran x --token abc", "ran x --token [removed]"),
            ("url = \"https://ada:pw@h.example/x\"", "url = \"https://[removed]@h.example/x\""),
            ("token = \"\"\"\nline one\nline two\n\"\"\"\nport = 1", "token = [removed]\nport = 1"),
            ("secrets = [\n  \"abcdef\",\n]\nport = 1", "secrets = [removed]\nport = 1"),
            ("https://ada:pw@h.example/?token=k", "https://[removed]@h.example/?token=[removed]"),
            ("x\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\ny", "x\n[removed]\ny"),
        ] {
            assert_eq!(without(text), wanted);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let text = "management = [\"198.51.100.0/28\"]\n# the password is not here\n[lists.tokens]\nsee https://h.example/a@b\n";
        assert_eq!(without(text), text);
    }

    #[test]
    fn a_secret_is_gone_wherever_it_stands_afterwards_and_in_documents() {
        let mut secrets = Secrets::default();
        secrets.without("password = \"hunter22\"\npasswd = \"abc\"\n", false);
        assert_eq!(secrets.without("login with hunter22, abc\n", false), "login with [removed], abc\n");
        let document = r#"{"a": ["x hunter22"], "token": "t", "detail": "`password = q`"}"#;
        let document: Value = serde_json::from_str(&secrets.without(document, true)).unwrap();
        let wanted = serde_json::json!({"a": ["x [removed]"], "token": "[removed]", "detail": "`password = [removed]"});
        assert_eq!(document, wanted);
        secrets.without("tokens = [\"first-1\", 'second-2']\nsecrets = [\n\"third-3\", \"fourth-4\",\n]\n", false);
        let told = "first-1 second-2 third-3 fourth-4";
        assert_eq!(secrets.without(told, false), [REMOVED; 4].join(" "));
        let document = r#"{"pins": [1], "tokens": ["t", 1], "secret": 7, "credentials": {"lists": 1}}"#;
        let document: Value = serde_json::from_str(&secrets.without(document, true)).unwrap();
        let wanted =
            serde_json::json!({"pins": [1], "tokens": "[removed]", "secret": "[removed]", "credentials": {"lists": 1}});
        assert_eq!(document, wanted, "what has such a name and members is a table of things of that name");
    }
}
