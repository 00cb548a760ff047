#include <errno.h>
#include <string.h>

#include "probes/parse.h"
#include "probes/probe.h"
#include "tests/unit/tap.h"

static const struct good {
    const char *text;
    enum probe_kind kind;
    const char *arg;
} good[] = {
    { "exec:pg_isready -h 'a b'", PROBE_EXEC, "pg_isready -h 'a b'" },
    { "exec:/bin/true", PROBE_EXEC, "/bin/true" },
    { "tcp:80", PROBE_TCP, "80" },
    { "tcp:127.0.0.1:65535", PROBE_TCP, "127.0.0.1:65535" },
    { "tcp:[::1]:1", PROBE_TCP, "[::1]:1" },
    { "tcp:[fe80::1%eth0]:1", PROBE_TCP, "[fe80::1%eth0]:1" },
    { "tcp:my_db.example:5432", PROBE_TCP, "my_db.example:5432" },
    { "tcp:example.com.:5432", PROBE_TCP, "example.com.:5432" },
    { "unix:/run/x.sock", PROBE_UNIX, "/run/x.sock" },
    { "file:/run/a:b c", PROBE_FILE, "/run/a:b c" },
    { "docker", PROBE_DOCKER, "" },
    { "docker:", PROBE_DOCKER, "" },
    { "docker:/run/user/1000/docker.sock", PROBE_DOCKER, "/run/user/1000/docker.sock" },
    { "dns:example.com", PROBE_DNS, "example.com" },
    { "dns:example.com.@10.0.0.1", PROBE_DNS, "example.com.@10.0.0.1" },
    { "dns:_sip._udp.a@[::1]:5353", PROBE_DNS, "_sip._udp.a@[::1]:5353" },
    { "log:^ready( now)?$", PROBE_LOG, "^ready( now)?$" },
    { "notify", PROBE_NOTIFY, "" },
    { "http://localhost/", PROBE_HTTP, "http://localhost/" },
    { "http:http://[::1]:8080/a?b=c", PROBE_HTTP, "http://[::1]:8080/a?b=c" },
    { "http://a  status=204   body~x  y ", PROBE_HTTP, "http://a" },
    { "http+unix:///run/a.sock:/_ping", PROBE_HTTP, "http+unix:///run/a.sock:/_ping" },
    { "http:http+unix:///run/a.sock", PROBE_HTTP, "http+unix:///run/a.sock" },
};

static const struct bad {
    const char *text, *message;
} bad[] = {
    { "tpc:80", "'tpc:80': 'tpc' is not one of exec, tcp, unix, http, docker, dns, file, log, "
                "notify (did you mean tcp?)" },
    { "", "'': '' is not one of exec, tcp, unix, http, docker, dns, file, log, notify" },
    { "zzzzzzzz", "'zzzzzzzz': 'zzzzzzzz' is not one of exec, tcp, unix, http, docker, dns, file, "
                  "log, notify" },
    { "tcp", "tcp port '' is not 1-65535" },
    { "tcp:", "tcp port '' is not 1-65535" },
    { "tcp:99999", "tcp port '99999' is not 1-65535" },
    { "tcp:0", "tcp port '0' is not 1-65535" },
    { "tcp:a:65536", "tcp port '65536' is not 1-65535" },
    { "tcp:a:+1", "tcp port '+1' is not 1-65535" },
    { "tcp:a:", "tcp port '' is not 1-65535" },
    { "tcp::80", "tcp host '' is not a name, 1.2.3.4 or [2001:db8::1]" },
    { "tcp:a b:80", "tcp host 'a b' is not a name, 1.2.3.4 or [2001:db8::1]" },
    { "tcp:10.0.1:80", "tcp host '10.0.1' is not a name, 1.2.3.4 or [2001:db8::1]" },
    { "tcp:256.1.1.1:80", "tcp host '256.1.1.1' is not a name, 1.2.3.4 or [2001:db8::1]" },
    { "tcp:::1:80", "tcp address '::1:80': write IPv6 in brackets, [::1]:80" },
    { "tcp:[::1]", "tcp '[::1]' has no port: write HOST:PORT" },
    { "tcp:[::1", "tcp address '[::1' is not [IPv6]:PORT" },
    { "tcp:[::1]80", "tcp address '[::1]80' is not [IPv6]:PORT" },
    { "tcp:[::g]:80", "tcp host '[::g]' is not an IPv6 address" },
    { "unix:run/x", "unix path 'run/x' is not absolute (/...)" },
    { "unix:", "unix path '' is not absolute (/...)" },
    { "docker:x", "docker path 'x' is not absolute (/...)" },
    { "file:x", "file path 'x' is not absolute (/...)" },
    { "file:/a\nb", "file path '/a\nb' has a control byte in it" },
    { "exec:", "exec has no command: write exec:CMD ARGUMENTS" },
    { "exec:   ", "exec has no command: write exec:CMD ARGUMENTS" },
    { "exec:''", "exec has no command: write exec:CMD ARGUMENTS" },
    { "dns:", "dns name '' is not 1-253 bytes long" },
    { "dns:.", "dns name '.' is not 1-253 bytes long" },
    { "dns:a..b", "dns name 'a..b' has a label that is not 1-63 bytes" },
    { "dns:a b", "dns name 'a b' is not plain ASCII" },
    { "dns:a@ns.example", "dns server 'ns.example' is not 1.2.3.4 or [2001:db8::1]" },
    { "dns:a@", "dns server '' is not 1.2.3.4 or [2001:db8::1]" },
    { "dns:a@::1", "dns address '::1': write IPv6 in brackets, [::1]:80" },
    { "dns:a@1.1.1.1:x", "dns port 'x' is not 1-65535" },
    { "log:", "log has no pattern: write log:REGEX" },
    { "notify:", "notify takes no argument, and was given ':'" },
    { "notify:x", "notify takes no argument, and was given ':x'" },
    { "http:///x", "http url has no host: write http://HOST[:PORT]/PATH" },
    { "http://u@h/", "http url has a user in it, which a probe does not send" },
    { "http://h:0/", "http port '0' is not 1-65535" },
    { "http://::1/", "http address '::1': write IPv6 in brackets, [::1]:80" },
    { "http:ftp", "http url 'http:ftp' is not http://HOST[:PORT]/PATH or "
                  "http+unix:///SOCKET:/PATH" },
    { "http+unix://a.sock:/", "http url 'a.sock:/' is not http+unix:///SOCKET[:/PATH]" },
    { "http://h/\xc3\xa4", "http url 'http://h/\xc3\xa4' has bytes in it that must be %-encoded" },
    { "http://h/\r", "http url 'http://h/\r' has bytes in it that must be %-encoded" },
    { "http://h/ status=99", "http status '99' is not one of 100-599, or a range like 200-399" },
    { "http://h/ status=399-200", "http status '399-200' is not one of 100-599, or a range like "
                                  "200-399" },
    { "http://h/ status=200-", "http status '200-' is not one of 100-599, or a range like "
                               "200-399" },
    { "http://h/ status=600", "http status '600' is not one of 100-599, or a range like 200-399" },
    { "http://h/ body~", "http body~ has no text to look for" },
    { "http://h/ code=2", "http option 'code=2' is not one of status=200-399, body~TEXT" },
};

static void good_specs(void) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct probe_spec s;
        struct err e = { 0 };
        int rc = probe_parse(&s, good[i].text, &e);
        OK(rc == 0 && s.kind == good[i].kind && !strcmp(s.arg, good[i].arg) &&
               !strcmp(s.text, good[i].text),
           "%s is %s of '%s' %s", good[i].text, probe_kind_name(s.kind), s.arg, e.text);
    }
}

static void bad_specs(void) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct probe_spec s;
        struct err e = { 0 };
        int rc = probe_parse(&s, bad[i].text, &e);
        if (!OK(rc == -EINVAL && !strcmp(e.text, bad[i].message), "refused: case %zu", i))
            printf("# '%s' gives %d: %s\n", bad[i].text, rc, e.text);
    }
}

static void messages_of_others(void) {
    struct probe_spec s;
    struct err e = { 0 };
    OK(probe_parse(&s, "exec:a 'b", &e) == -EINVAL && strstr(e.text, "exec command: "),
       "an open quote: %s", e.text);
    OK(probe_parse(&s, "log:a(b", &e) == -EINVAL && strstr(e.text, "'a(b' is not an extended"),
       "a broken pattern: %s", e.text);
    OK(probe_parse(&s, "https://h/", &e) == -EINVAL && strstr(e.text, "https is not spoken"),
       "https: %s", e.text);
    OK(probe_parse(&s, "http:https://h/", &e) == -EINVAL && strstr(e.text, "https is not spoken"),
       "https after the kind, too");
    OK(probe_parse(&s, "tpc:80", NULL) == -EINVAL, "no one has to want the message");
}

static void http_options(void) {
    struct probe_spec s;
    OK(probe_parse(&s, "http://a", NULL) == 0 && s.status_min == 200 && s.status_max == 399 &&
           !s.body[0],
       "the wanted status is 200-399 unless said");
    OK(probe_parse(&s, "http://a status=204", NULL) == 0 && s.status_min == 204 &&
           s.status_max == 204,
       "one status");
    OK(probe_parse(&s, "http://a status=100-599 body~x status=1 ", NULL) == 0 &&
           s.status_min == 100 && s.status_max == 599 && !strcmp(s.body, "x status=1 "),
       "a range; body~ takes the rest");
}

static void urls(void) {
    struct http_url u;
    OK(http_url_parse(&u, "http://h", NULL) == 0 && u.to.port == 80 && !strcmp(u.target, "/"),
       "no path is /");
    OK(http_url_parse(&u, "http://h:81?q#f", NULL) == 0 && u.to.port == 81 &&
           !strcmp(u.target, "/?q") && !strcmp(u.host, "h:81"),
       "a query without a path; no fragment");
    OK(http_url_parse(&u, "HTTP://[::1]:82/p/#f", NULL) == 0 && !strcmp(u.to.host, "::1") &&
           !strcmp(u.host, "[::1]:82") && !strcmp(u.target, "/p/"),
       "IPv6 keeps its brackets in Host");
    OK(http_url_parse(&u, "http+unix:///a:b.sock:/x:/y", NULL) == 0 &&
           !strcmp(u.socket, "/a:b.sock") && !strcmp(u.target, "/x:/y"),
       "a socket with a colon in its name");
    OK(http_url_parse(&u, "http+unix:///a.sock", NULL) == 0 && !strcmp(u.target, "/"),
       "a socket alone");
}

/* At the edge and one byte past it. */
static void lengths(void) {
    char text[MAX_PROBE_SPEC + 8];
    struct probe_spec s;
    struct err e = { 0 };
    memset(text, 'a', sizeof text);
    memcpy(text, "file:/", 6);
    text[MAX_PROBE_SPEC - 1] = '\0';
    OK(probe_parse(&s, text, &e) == 0, "a spec of %d bytes", MAX_PROBE_SPEC - 1);
    text[MAX_PROBE_SPEC - 1] = 'a';
    text[MAX_PROBE_SPEC] = '\0';
    OK(probe_parse(&s, text, &e) == -EINVAL, "one more: %s", e.text);
    memcpy(text, "unix:/", 6);
    text[5 + 107] = '\0';
    OK(probe_parse(&s, text, &e) == 0, "a unix path of 107 bytes");
    text[5 + 107] = 'a';
    text[5 + 108] = '\0';
    OK(probe_parse(&s, text, &e) == -EINVAL && strstr(e.text, "longer than 107"), "one more: %s",
       e.text);
    memset(text, 'a', sizeof text);
    memcpy(text, "dns:", 4);
    text[4 + 63] = '\0';
    OK(probe_parse(&s, text, &e) == 0, "a label of 63 bytes");
    text[4 + 63] = 'a';
    text[4 + 64] = '\0';
    OK(probe_parse(&s, text, &e) == -EINVAL, "a label of 64 bytes");
    for (size_t i = 4; i < 4 + 253; i++)
        text[i] = i % 2 ? '.' : 'a';
    text[4 + 253] = '\0';
    OK(probe_parse(&s, text, &e) == 0, "a name of 253 bytes");
    memcpy(text + 4 + 253, ".", 2);
    OK(probe_parse(&s, text, &e) == 0, "and the dot after it");
    memcpy(text + 4 + 253, ".a", 3);
    OK(probe_parse(&s, text, &e) == -EINVAL, "a name of 255 bytes");
}

static void nameservers(void) {
    char got[3][MAX_PROBE_HOST];
    size_t n = resolv_nameservers("# nameserver 9.9.9.9\nsearch a b\nnameserver 10.0.0.1\n"
                                  "  nameserver\t::1 # x\nnameserver\nnameservers 1.1.1.1\n"
                                  "nameserver fe80::1%eth0\r\nnameserver 4.4.4.4",
                                  got, 3);
    OK(n == 3 && !strcmp(got[0], "10.0.0.1") && !strcmp(got[1], "::1") &&
           !strcmp(got[2], "fe80::1%eth0"),
       "the first three nameservers, in order (%zu)", n);
    OK(resolv_nameservers("nameserver 4.4.4.4", got, 3) == 1 && !strcmp(got[0], "4.4.4.4"),
       "the last line has no newline");
    OK(resolv_nameservers("", got, 3) == 0, "none");
}

static void kinds(void) {
    int waiting = 0;
    for (int k = 0; k < PROBE_NKINDS; k++)
        waiting += probe_waits((enum probe_kind)k);
    OK(waiting == 4 && probe_waits(PROBE_TCP) && probe_waits(PROBE_UNIX) &&
           probe_waits(PROBE_DOCKER) && probe_waits(PROBE_FILE),
       "tcp, unix, docker and file wait in one attempt");
    OK(!strcmp(probe_kind_name(PROBE_NOTIFY), "notify") &&
           !strcmp(probe_kind_name(PROBE_NKINDS), "?"),
       "kinds have names");
    static const char *const ours[] = { "log:x", "notify" };
    for (size_t i = 0; i < 2; i++) {
        struct probe_spec s;
        struct err e = { 0 };
        (void)probe_parse(&s, ours[i], &e);
        OK(probe_run(&s, INSTANT_NEVER, &e) == -EOPNOTSUPP && e.text[0], "%s", e.text);
    }
}

int main(void) {
    good_specs();
    bad_specs();
    messages_of_others();
    http_options();
    urls();
    lengths();
    nameservers();
    kinds();
    return tap_end();
}
