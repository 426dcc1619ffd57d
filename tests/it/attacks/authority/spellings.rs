//! Hosts that are none: brackets, escapes, user names, letters of other alphabets, numbers that could be addresses.

use super::{ADDRESS, MALFORMED, refused_as_target, refused_beside, refused_everywhere, url};
use crate::attacks::stage::{Door, Stage};

fn all_refused(hosts: &[&[u8]]) {
    let stage = Stage::usual();
    for host in hosts {
        refused_everywhere(&stage, host, MALFORMED);
    }
}

#[test]
fn a5_a_name_stands_in_no_brackets() {
    all_refused(&[
        b"[api.good.test]",
        b"[API.GOOD.TEST.]",
        b"[203.0.114.10]",
        b"api.good.test]",
        b"[api.good.test",
        b"api.[good].test",
        b"[]api.good.test",
        b"[::1]api.good.test",
        b"(api.good.test)",
        b"<api.good.test>",
        b"{api.good.test}",
        b"\"api.good.test\"",
    ]);
}

#[test]
fn a6_brackets_in_brackets_are_no_address() {
    all_refused(&[
        b"[[api.good.test]]",
        b"[[::1]]",
        b"[[::1]",
        b"[::1]]",
        b"[][::1]",
        b"[::1][::1]",
    ]);
}

#[test]
fn a7_a_byte_that_ends_a_text_elsewhere_ends_nothing_here() {
    all_refused(&[
        b"evil.test\0.wild.test",
        b"\0api.good.test",
        b"api.good.test\0",
        b"api.good.test\0evil.test",
        b"api.good.test\x01",
        b"api\x0b.good.test",
        b"api.good.test\x7f",
        b"api.good\xc0\x80.test",
    ]);
}

/// Nobody speaks SOCKS here, whichever way it names a host.
#[test]
fn a7_a_host_in_socks_is_no_host() {
    let stage = Stage::usual();
    for hello in [
        &b"\x05\x01\0"[..],
        b"\x05\x02\0\x02",
        b"\x04\x01\x01\xbb\xcb\0\x72\x0a\0",
        b"\x04\x01\x01\xbb\0\0\0\x01me\0api.good.test\0",
    ] {
        let connect = b"\x05\x01\0\x03\x14evil.test\0.wild.test\x01\xbb";
        let sent = [hello, connect].concat();
        stage.refuses_and_closes(Door::Proxy, &sent, MALFORMED);
        stage.refuses_and_closes(Door::Tunnel, &sent, MALFORMED);
    }
}

#[test]
fn a8_a_host_is_never_decoded() {
    all_refused(&[
        b"evil.test%00.wild.test",
        b"api%2egood.test",
        b"api%2Egood%2Etest",
        b"%61pi.good.test",
        b"api.good.test%2e",
        b"api%252egood.test",
        b"api.good.test%3a443",
        b"api.good.test%2f.evil.test",
        b"api.good.test%40evil.test",
        b"%5b::1%5d",
        b"api.good.test%",
        b"api&#46;good.test",
        b"api\\u002egood.test",
        b"=?utf-8?q?api?=.good.test",
    ]);
}

#[test]
fn a9_nobody_stands_before_a_host() {
    all_refused(&[
        b"api.good.test@evil.test",
        b"evil.test@api.good.test",
        b"u:p@api.good.test",
        b"u@api.good.test",
        b"@api.good.test",
        b":@api.good.test",
        b"api.good.test@",
        b"api.good.test:443@evil.test",
        b"a@b@api.good.test",
        b"[::1]@api.good.test",
        b"api.good.test;@evil.test",
    ]);
}

#[test]
fn a10_a_backslash_ends_no_host() {
    all_refused(&[
        b"evil.test\\@api.good.test",
        b"api.good.test\\evil.test",
        b"api.good.test\\.evil.test",
        b"evil.test\\api.good.test",
        b"\\api.good.test",
        b"\\\\api.good.test",
        b"api.good.test\\",
    ]);
    let stage = Stage::usual();
    for target in [
        "http:\\\\api.good.test/v1/items/1",
        "http:/\\api.good.test/v1/items/1",
        "http:\\/api.good.test/v1/items/1",
        "http:/api.good.test/v1/items/1",
        "http:///api.good.test/v1/items/1",
        "http:api.good.test/v1/items/1",
        "http://api.good.test#@evil.test/",
        "http://#api.good.test/v1/items/1",
        "\\\\api.good.test\\v1",
    ] {
        let sent = format!("GET {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        for door in Door::ALL {
            stage.refuses(door, sent.as_bytes(), MALFORMED);
        }
    }
    // A query begins behind a host, and what stands in it is no host.
    let sent = b"GET http://api.good.test?@evil.test/ HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    stage.refuses(Door::Proxy, sent, (403, "action_undeclared"));
}

#[test]
fn a16_letters_that_fold_into_ascii_are_other_letters() {
    let hosts = [
        "ａpi.good.test",
        "ＡＰＩ.good.test",
        "api。good.test",
        "api．good.test",
        "api｡good.test",
        "api.good.test。",
        "ap\u{ad}i.good.test",
        "api\u{200b}.good.test",
        "api\u{2060}.good.test",
        "apı.good.test",
        "apİ.good.test",
        "api.good.te\u{17f}t",
        "\u{212a}.good.test",
        "\u{202e}api.good.test",
        "а\u{440}і.good.test",
        "api.gооd.test",
        "ⓐpi.good.test",
        "𝐚pi.good.test",
        "bücher.test",
        "bu\u{308}cher.test",
        "ß.good.test",
        "api.good.test\u{ff0f}evil.test",
        "api\u{2024}good.test",
        "\u{feff}api.good.test",
    ];
    all_refused(&hosts.map(str::as_bytes));
    // In other encodings they are no letters at all.
    all_refused(&[
        b"b\xfccher.test",
        b"api.good\xae.test",
        b"\xff\xfea\0p\0i\0",
        b"\xed\xa0\x80.test",
    ]);
}

#[test]
fn a18_a_host_has_letters_digits_and_hyphens() {
    all_refused(&[
        b"a_b.good.test",
        b"_dmarc.good.test",
        b"a,b.test",
        b"a;b.test",
        b"a'b.test",
        b"a!b.test",
        b"a~b.test",
        b"a$b.test",
        b"a&b.test",
        b"a+b.test",
        b"a=b.test",
        b"a|b.test",
        b"a^b.test",
        b"a`b.test",
        b"*.wild.test",
        b"*",
        b"a*.wild.test",
        b"api.good.test,evil.test",
        b"api.good.test,api.good.test",
        b"api.good.test;evil.test",
    ]);
    let stage = Stage::usual();
    for blank in ["\t", " ", "  "] {
        let host = format!("api.good{blank}.test");
        let target =
            format!("GET http://{host}/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, target.as_bytes(), MALFORMED);
        let connect = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n");
        stage.refuses_and_closes(Door::Proxy, connect.as_bytes(), MALFORMED);
    }
}

#[test]
fn a20_labels_and_names_have_the_lengths_of_dns() {
    let label = |length: usize| format!("{}.good.test", "a".repeat(length));
    let name = |length: usize| {
        let labels = "abcdefg.".repeat(length / 8);
        format!("{labels}{}", "a".repeat(length - labels.len()))
    };
    let long = [
        label(64),
        label(1000),
        name(254),
        name(255),
        name(1022),
        format!("{}.", name(254)),
    ];
    let stage = Stage::usual();
    for host in &long {
        refused_everywhere(&stage, host.as_bytes(), MALFORMED);
    }
    for host in [label(63), name(253), format!("{}.", name(253))] {
        stage.refuses(
            Door::Proxy,
            &url("http", host.as_bytes()),
            super::UNDECLARED,
        );
    }
    for host in [
        "api..good.test",
        "..",
        "-a.good.test",
        "a-.good.test",
        "-.good.test",
        "a.good.-test",
        "a.good.test-",
        "--.wild.test",
    ] {
        refused_everywhere(&stage, host.as_bytes(), MALFORMED);
    }
    // Nothing at all is no name either.
    refused_as_target(&stage, b":443", MALFORMED);
    refused_as_target(&stage, b"", MALFORMED);
    for line in ["Host:", "Host: ", "Host: :443", "Host: :"] {
        let sent = format!("GET http://api.good.test/v1/items/1 HTTP/1.1\r\n{line}\r\n\r\n");
        stage.refuses(Door::Proxy, sent.as_bytes(), MALFORMED);
        let sent = format!("GET /v1/items/1 HTTP/1.1\r\n{line}\r\n\r\n");
        stage.refuses(Door::Tunnel, sent.as_bytes(), super::MISMATCH);
    }
}

#[test]
fn a21_a_number_at_the_end_is_an_address_to_somebody() {
    all_refused(&[
        b"foo.1",
        b"1.2.3",
        b"1.2.3.4.5",
        b"0x7f.1",
        b"a.0x1",
        b"a.0X",
        b"a.0xg.0x",
        b"1",
        b"0",
        b"127.1",
        b"2130706433",
        b"0x7f000001",
        b"0x7F.0x0.0x0.0x1",
        b"0177.0.0.1",
        b"017700000001",
        b"010.8.8.8",
        b"08.8.8.8",
        b"127.0.0.1.",
        b"256.1.1.1",
        b"1.2.3.4.",
        b"api.good.test.1",
        b"99999999999999999999",
        b"4294967296",
    ]);
    let stage = Stage::usual();
    for address in ["127.0.0.1", "203.0.114.10", "0.0.0.0", "255.255.255.255"] {
        for port in ["", ":443"] {
            let authority = format!("{address}{port}");
            refused_as_target(&stage, authority.as_bytes(), ADDRESS);
            refused_beside(&stage, authority.as_bytes());
        }
    }
    // Numbers elsewhere are names.
    for host in ["1.good.test", "0x7f.good.test", "1.2.3.4.test", "0.0x.test"] {
        super::undeclared_everywhere(&stage, host);
    }
}

#[test]
fn a23_an_address_has_no_zone() {
    all_refused(&[
        b"[fe80::1%25eth0]",
        b"[fe80::1%eth0]",
        b"[::1%lo]",
        b"[::1%25]",
        b"[::1%]",
        b"[::%25lo]",
        b"[fe80::1%250]",
        b"fe80::1%eth0",
        b"127.0.0.1%lo",
        b"api.good.test%25eth0",
    ]);
}

#[test]
fn a25_brackets_are_around_one_whole_address() {
    all_refused(&[
        b"[v1.fe80::a]",
        b"[vF.::1]",
        b"[]",
        b"[::1",
        b"::1]",
        b"[:::1]",
        b"[1:2:3:4:5:6:7:8:9]",
        b"[::1/128]",
        b"[ffff::12345]",
        b"[::127.1]",
        b"[::ffff:127.0.0.01]",
        b"[::1]x",
        b"x[::1]",
        b"[127.0.0.1]",
        b"[::1].good.test",
    ]);
    let stage = Stage::usual();
    for bare in [
        "::1:443",
        "::1",
        "fe80::1",
        "1:2:3:4:5:6:7:8",
        "[::1]443",
        "[::1]:",
        "[::1]:0443",
    ] {
        refused_as_target(&stage, bare.as_bytes(), MALFORMED);
    }
    for address in [
        "[::1]",
        "[::]",
        "[2001:4860:4860::8888]",
        "[::ffff:203.0.114.10]",
        "[FE80::1]",
    ] {
        refused_as_target(&stage, format!("{address}:443").as_bytes(), ADDRESS);
        refused_beside(&stage, address.as_bytes());
    }
}

#[test]
fn a25_an_address_is_no_server_in_any_spelling_that_is_one() {
    let stage = Stage::usual();
    for address in [
        "127.0.0.1",
        "8.8.8.8",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "203.0.114.10",
        "[::1]",
        "[::]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::1]",
        "[2001:DB8::1]",
        "[0:0:0:0:0:0:0:1]",
    ] {
        for port in ["", ":80", ":443", ":9090"] {
            refused_as_target(&stage, format!("{address}{port}").as_bytes(), ADDRESS);
        }
    }
}

#[test]
fn a18_bytes_in_a_host_are_never_dropped() {
    let stage = Stage::usual();
    for byte in 0..=u8::MAX {
        let is_of_a_host = byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        // These end a host, or begin another part of a URL.
        if is_of_a_host || b"/?:@[] \r\n#".contains(&byte) {
            continue;
        }
        let host = [&b"api.good"[..], &[byte], b".test"].concat();
        let sent = [
            &b"GET http://"[..],
            &host,
            b"/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        ]
        .concat();
        stage.refuses(Door::Proxy, &sent, MALFORMED);
        let line = [
            &b"CONNECT "[..],
            &host,
            b":443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
        ]
        .concat();
        stage.refuses_and_closes(Door::Proxy, &line, MALFORMED);
    }
}
