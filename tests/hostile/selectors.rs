//! Selectors, continue tokens and other options out of all proportion.

use crate::wire::{MAPS, Victim};

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_terms_are_answered() {
    let victim = Victim::start().await;
    for i in 0..50 {
        victim.create(&format!("x{i}")).await;
    }
    let terms = |term: &str, n: usize| vec![term; n].join(",");
    for selector in
        [terms("a!=b", 8_000), terms("!a", 10_000), terms("a", 15_000), format!("a+in+({})", terms("v", 10_000))]
    {
        let answer = victim.get(&format!("{MAPS}?labelSelector={selector}")).await;
        assert_eq!(answer.code, 200, "{:.200}", answer.text());
    }
    let answer = victim.get(&format!("{MAPS}?fieldSelector={}", terms("metadata.name!=x", 3_000))).await;
    assert_eq!(answer.code, 200, "{:.200}", answer.text());
    let deep = "(".repeat(30_000);
    victim.get(&format!("{MAPS}?labelSelector=a+in+{deep}")).await.refuses(400, "");
    for bad in ["a+in", "a+in+()x", ",,", "!!a", "=", "a==b==c", "%00", "%ff", "a>b", "a+notin+(b", "\"", "a+in+(,,)"] {
        let answer = victim.get(&format!("{MAPS}?labelSelector={bad}")).await;
        assert!(answer.code == 200 || answer.code == 400, "{bad}: {} {}", answer.code, answer.text());
        let answer = victim.get(&format!("{MAPS}?fieldSelector={bad}")).await;
        assert!(answer.code == 200 || answer.code == 400, "{bad}: {} {}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_tokens_and_numbers_are_bad_requests() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let victim = Victim::start().await;
    let token = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let tokens = [
        "!".to_owned(),
        "a".to_owned(),
        "A".repeat(50_000),
        token(&"[".repeat(20_000)),
        token("[]"),
        token(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"x"}"#),
        token(r#"{"v":"meta.k8s.io/v1","rv":1e99,"start":"x"}"#),
        token(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets/default/x"}"#),
    ];
    for token in tokens {
        let answer = victim.get(&format!("{MAPS}?limit=1&continue={token}")).await;
        assert!((400..500).contains(&answer.code), "{token:.60}: {} {:.200}", answer.code, answer.text());
    }
    // The end of the revisions: refused, gone or empty, but an answer.
    for (rv, given) in [("9223372036854775807", 0), ("-9223372036854775808", u64::MAX), ("5", u64::MAX), ("-1", 7)] {
        let start = token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":{rv},"start":"a\u0000","n":{given}}}"#));
        let answer = victim.get(&format!("{MAPS}?limit=1&continue={start}")).await;
        assert!(answer.code < 600 && answer.code != 500, "{rv}: {} {:.200}", answer.code, answer.text());
    }
    for query in [
        "limit=-1",
        "limit=9223372036854775808",
        "limit=x",
        "limit=1e3",
        "timeoutSeconds=x",
        "timeoutSeconds=-9223372036854775808",
        "resourceVersion=-1",
        "resourceVersion=99999999999999999999",
        "resourceVersion=x",
        "resourceVersionMatch=x",
        "timeout=9e9h",
        "gracePeriodSeconds=x",
        "allowWatchBookmarks=x",
        "sendInitialEvents=x",
    ] {
        let answer = victim.get(&format!("{MAPS}?{query}")).await;
        assert!(!answer.text().contains("panic"), "{query}: {}", answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_watch_is_no_overflow() {
    let victim = Victim::start().await;
    for seconds in ["9223372036854775807", "4611686018427387904", "315360000000"] {
        let mut stream = victim.connect().await;
        let request = format!("GET {MAPS}?watch=1&timeoutSeconds={seconds} HTTP/1.1\r\nHost: x\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    victim.is_well().await;
}
