/* The command line: the parser of options, the tables, hosts, keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/host.h"
#include "cli/show.h"
#include "cli/terminal.h"
#include "tests/unit/tap.h"

/* --- parsing ---------------------------------------------------------------------------------- */

static const struct verb *verb(const char *name) {
    const struct verb *v;
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

enum { MAX_ARGV = 16 };

struct parsed {
    struct args a;
    struct err e;
    int rc;
    char text[256]; /* the words that argv points into */
    char *argv[MAX_ARGV + 1];
    int argc;
};

/* Words are split at blanks; "''" is an empty one. */
static struct parsed *parse(const char *name, const char *line) {
    static struct parsed p;
    args_free(&p.a);
    p = (struct parsed){ .a = { .verb = verb(name) } };
    (void)snprintf(p.text, sizeof p.text, "%s", line);
    char *rest = p.text, *word;
    while ((word = strsep(&rest, " ")) != NULL && p.argc < MAX_ARGV)
        if (*word)
            p.argv[p.argc++] = strcmp(word, "''") == 0 ? word + 2 : word;
    p.rc = args_parse(&p.a, p.argc, p.argv, &p.e);
    return &p;
}

/* "word|word": the words that are left. */
static bool words(const struct parsed *p, const char *want) {
    char buf[256] = "";
    struct text t = TEXT(buf);
    for (int i = 0; i < p->a.nwords; i++)
        text_add(&t, "%s%s", i ? "|" : "", p->a.words[i]);
    return p->rc == 0 && strcmp(buf, want) == 0 && p->a.words[p->a.nwords] == NULL;
}

static bool value(const struct parsed *p, const char *name, const char *want) {
    const char *v = args_value(&p->a, name);
    return p->rc == 0 && (v && want ? strcmp(v, want) == 0 : v == want);
}

static const struct {
    const char *verb, *line, *words, *option, *value;
} good[] = {
    { "exec", "ls -l", "ls|-l", "tty", NULL },
    { "exec", "-it sh", "sh", "interactive", "" },
    { "exec", "-it sh", "sh", "tty", "" },
    { "exec", "-ti sh -i", "sh|-i", "tty", "" },
    { "exec", "-itu root sh", "sh", "user", "root" },
    { "exec", "-ituroot sh", "sh", "user", "root" },
    { "exec", "-u=root sh", "sh", "user", "root" },
    { "exec", "--user root sh", "sh", "user", "root" },
    { "exec", "--user=root sh", "sh", "user", "root" },
    { "exec", "--user= sh", "sh", "user", "" },
    { "exec", "-u '' sh", "sh", "user", "" },
    { "exec", "--user a --user b sh", "sh", "user", "b" },
    { "exec", "-e A=1 -e B=-2 sh", "sh", "env", "B=-2" },
    { "exec", "--env=A=1=2 sh", "sh", "env", "A=1=2" },
    { "exec", "-w -dir sh", "sh", "workdir", "-dir" },
    { "exec", "-- -odd -x", "-odd|-x", "tty", NULL },
    { "exec", "-t -- ls --", "ls|--", "tty", "" },
    { "exec", "sh -- -t", "sh|--|-t", "tty", NULL },
    { "ps", "--json -aq", "", "quiet", "" },
    { "cp", "a -q b", "a|b", "quiet", "" },
    { "cp", "- :/tmp", "-|:/tmp", "quiet", NULL },
    { "cp", "-- -q b", "-q|b", "quiet", NULL },
    { "kill", "a b -s TERM c", "a|b|c", "signal", "TERM" },
    { "ready", "--wait", "", "wait", "" },
    { "ready", "--wait=5s", "", "wait", "5s" },
    { "ready", "--wait 5s", "5s", "wait", "" },
    { "config", "--help", "", "help", "" },
    { "logs", "-fn5 web", "web", "tail", "5" },
    { "run", "-c a.ini cmd -c b", "cmd|-c|b", "config", "a.ini" },
};

static const struct {
    const char *verb, *line, *why;
} bad[] = {
    { "exec", "", "CMD is missing" },
    { "exec", "-i", "CMD is missing" },
    { "exec", "-x sh", "unknown option -x" },
    { "exec", "-ix sh", "unknown option -ix" },
    { "exec", "--usr root sh", "did you mean --user" },
    { "exec", "--use root sh", "did you mean --user" }, /* no abbreviations */
    { "exec", "--tty=yes sh", "--tty takes no value" },
    { "exec", "-u", "--user wants a value: USER" },
    { "exec", "--user", "--user wants a value: USER" },
    { "cp", "a", "DST is missing" },
    { "cp", "", "SRC is missing" },
    { "cp", "a b c", "'c' is one word too many" },
    { "ps", "x", "'x' is one word too many" },
    { "restart", "", "UNIT is missing" },
    { "check", "-H unix:///x", "unknown option -H" },
};

static void test_parsing(void) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct parsed *p = parse(good[i].verb, good[i].line);
        OK(words(p, good[i].words) && value(p, good[i].option, good[i].value), "%s %s %s",
           good[i].verb, good[i].line, p->e.text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct parsed *p = parse(bad[i].verb, bad[i].line);
        OK(p->rc == -EINVAL && strstr(p->e.text, bad[i].why), "%s %s: %s", bad[i].verb, bad[i].line,
           p->e.text);
    }
    const struct parsed *p = parse("exec", "-e A=1 --env B -t -e C= sh");
    size_t at = 0;
    bool all = strcmp(args_next(&p->a, "env", &at), "A=1") == 0 &&
               strcmp(args_next(&p->a, "env", &at), "B") == 0 &&
               strcmp(args_next(&p->a, "env", &at), "C=") == 0 && !args_next(&p->a, "env", &at);
    OK(all, "an option that comes often has all its values, in order");
    p = parse("ps", "-H tcp://a:1 -a");
    OK(p->rc == 0 && strcmp(p->a.host, "tcp://a:1") == 0, "--host after the verb");
    p = parse("exec", "--help");
    OK(p->rc == 0 && p->a.help, "--help needs no words");
    p = parse("probe", "--timeout 5s -q -- x");
    OK(words(p, "--timeout|5s|-q|--|x"), "a verb that parses by itself gets all words");
    (void)parse("ps", "");
}

static void test_values(void) {
    span s = span_s(3);
    unsigned n = 9;
    struct err e = { 0 };
    const struct parsed *p = parse("exec", "--timeout 1m30s sh");
    OK(args_span(&p->a, "timeout", &s, &e) == 0 && span_to_ms(s) == 90000, "a time");
    p = parse("exec", "sh");
    OK(args_span(&p->a, "timeout", &s, &e) == 0 && span_to_ms(s) == 90000, "none: as it was");
    p = parse("exec", "--timeout 5 sh");
    OK(args_span(&p->a, "timeout", &s, &e) == -EINVAL && has_prefix(e.text, "--timeout: "),
       "a bad one: %s", e.text);
    p = parse("logs", "-n 7 web");
    OK(args_uint(&p->a, "tail", 100, &n, &e) == 0 && n == 7, "a number");
    p = parse("logs", "-n 101 web");
    OK(args_uint(&p->a, "tail", 100, &n, &e) == -EINVAL, "too large a number: %s", e.text);
    (void)parse("ps", "");
}

static void test_before_verb(void) {
    static const struct {
        const char *argv[6];
        int at;
        const char *verb, *host;
    } rows[] = {
        { { "pinnace", "ps", NULL }, 1, NULL, NULL },
        { { "pinnace", "-H", "unix:///x", "ps", NULL }, 3, NULL, "unix:///x" },
        { { "pinnace", "-Hunix:///x", "ps", NULL }, 2, NULL, "unix:///x" },
        { { "pinnace", "--host=unix:///x", "ps", "-a", NULL }, 2, NULL, "unix:///x" },
        { { "pinnace", "--version", NULL }, 2, "version", NULL },
        { { "pinnace", "-V", NULL }, 2, "version", NULL },
        { { "pinnace", "-h", NULL }, 2, "help", NULL },
        { { "pinnace", "-H", "tcp://a:1", "--help", NULL }, 4, "help", "tcp://a:1" },
        { { "pinnace", NULL }, 1, NULL, NULL },
        { { "pinnace", "-x", NULL }, -EINVAL, NULL, NULL },
        { { "pinnace", "-hV", NULL }, -EINVAL, NULL, NULL },
        { { "pinnace", "-H", NULL }, -EINVAL, NULL, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct args a = { .host = NULL };
        struct err e = { 0 };
        const char *name = NULL;
        int argc = 0;
        while (rows[i].argv[argc])
            argc++;
        int at = args_before_verb(&a, argc, (char **)rows[i].argv, &name, &e);
        bool same = at == rows[i].at &&
                    (name && rows[i].verb ? !strcmp(name, rows[i].verb) : name == rows[i].verb);
        bool host = a.host && rows[i].host ? !strcmp(a.host, rows[i].host) : a.host == rows[i].host;
        OK(same && (at < 0 || host), "pinnace %s ...: %s", argc > 1 ? rows[i].argv[1] : "", e.text);
    }
}

/* --- tables ----------------------------------------------------------------------------------- */

/* Completions put these texts into single quotes of three shells. */
static bool quotable(const char *s) { return !strpbrk(s, "'\\\n$`\""); }

static void test_tables(void) {
    const struct verb *v;
    static char help[16384];
    for (size_t i = 0; (v = cli_verb(i)) != NULL; i++) {
        bool fine = quotable(v->help) && v->run && v->min <= v->max;
        uint64_t briefs[4] = { 0 };
        size_t n = 0;
        for (const struct option *o = v->options; o && o->name; o++, n++) {
            unsigned char b = (unsigned char)o->brief;
            fine = fine && quotable(o->help) && o->help[0] && !(b && briefs[b / 64] >> b % 64 & 1);
            briefs[b / 64] |= UINT64_C(1) << b % 64;
            for (const struct option *p = v->options; p < o; p++)
                fine = fine && strcmp(p->name, o->name) != 0;
        }
        bool own_host = briefs['H' / 64] >> 'H' % 64 & 1;
        OK(fine && n < 20 && !(own_host && (v->flags & VERB_REMOTE)), "the table of %s", v->name);
        struct text t = TEXT(help);
        args_usage(v, true, &t);
        bool whole = !t.cut && strstr(help, v->help);
        for (const struct option *o = v->options; o && o->name; o++)
            whole = whole && strstr(help, o->name) && strstr(help, o->help);
        for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n"))
            whole = whole && strlen(line) <= 100;
        OK(whole, "the help of %s has all of it, in lines of 100 columns", v->name);
    }
}

/* --- hosts ------------------------------------------------------------------------------------ */

static void test_hosts(void) {
    struct host h;
    struct err e = { 0 };
    OK(host_parse(&h, "unix:///run/x.sock", &e) == 0 && h.kind == HOST_UNIX &&
           strcmp(h.path, "/run/x.sock") == 0,
       "unix");
    OK(host_parse(&h, "tcp://box.example:8080", &e) == 0 && h.kind == HOST_TCP &&
           strcmp(h.to.host, "box.example") == 0 && h.to.port == 8080,
       "tcp, a name");
    OK(host_parse(&h, "tcp://[fd00::1]:80", &e) == 0 && strcmp(h.to.host, "fd00::1") == 0 &&
           h.to.port == 80,
       "tcp, IPv6");
    OK(host_parse(&h, "vsock://3:1024", &e) == 0 && h.kind == HOST_VSOCK && h.cid == 3 &&
           h.port == 1024 && !*h.path,
       "vsock");
    OK(host_parse(&h, "vsock:///run/a:b.vsock:1024", &e) == 0 && h.kind == HOST_VSOCK &&
           strcmp(h.path, "/run/a:b.vsock") == 0 && h.port == 1024,
       "vsock by way of a VMM's socket");
    static const char *const wrong[] = {
        "",
        "/run/x.sock",
        "http://a:1",
        "unix://",
        "unix://x",
        "tcp://",
        "tcp://a",
        "tcp://a:0",
        "tcp://a:99999",
        "vsock://3",
        "vsock://x:1",
        "vsock://3:",
        "vsock://3:99999999999",
        "vsock:///run/x",
        "vsock:///run/x:",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        e = (struct err){ 0 };
        OK(host_parse(&h, wrong[i], &e) == -EINVAL && strstr(e.text, wrong[i]), "no host: %s",
           e.text);
    }
    char path[200] = "unix:///";
    memset(path + 8, 'p', 150);
    OK(host_parse(&h, path, &e) == -EINVAL, "a path that no socket can have: %s", e.text);
}

/* --- keys and texts --------------------------------------------------------------------------- */

static struct detach_keys keys(const char *text) {
    struct detach_keys k;
    struct err e = { 0 };
    OK(detach_parse(&k, text, &e) == 0, "keys: '%s' %s", text, e.text);
    return k;
}

static bool passes(struct detach_keys *k, const char *in, const char *want, bool hit) {
    char out[64];
    bool got = false;
    size_t n = detach_filter(k, in, strlen(in), out, &got);
    return n == strlen(want) && memcmp(out, want, n) == 0 && got == hit;
}

static void test_keys(void) {
    struct detach_keys k = keys("ctrl-p,ctrl-q");
    struct err e = { 0 };
    OK(k.n == 2 && k.keys[0] == 0x10 && k.keys[1] == 0x11, "are control characters");
    OK(passes(&k, "abc", "abc", false), "others pass");
    OK(passes(&k, "a\x10", "a", false), "the first waits");
    OK(passes(&k, "b",
              "\x10"
              "b",
              false),
       "and goes on with another");
    OK(passes(&k, "\x10\x10", "\x10", false) && passes(&k, "\x11", "", true),
       "twice the first, then the second: the sequence");
    k = keys("ctrl-p,ctrl-q");
    OK(passes(&k, "x\x10\x11y", "x", true), "in one piece; the rest does not count");
    k = keys("");
    OK(passes(&k, "\x10\x11", "\x10\x11", false), "none: everything passes");
    k = keys("a,ctrl-[,_,ctrl-@");
    OK(k.n == 4 && k.keys[1] == 27 && k.keys[3] == 0, "other keys");
    static const char *const wrong[] = { "ctrl-", "ctrl-1",    "ab",
                                         "a,,b",  "ctrl-p,xx", "a,b,c,d,e,f,g,h,i" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        OK(detach_parse(&k, wrong[i], &e) == -EINVAL, "no keys: %s", e.text);
}

static void test_texts(void) {
    char buf[BYTES_TEXT], line[] = "a\033[2Jb\tc\x7f\xc3\xa9";
    OK(strcmp(text_safe(line), "a?[2Jb?c?\xc3\xa9") == 0, "control bytes are not printed");
    OK(strcmp(format_bytes(buf, 0), "0B") == 0 && strcmp(format_bytes(buf, 1023), "1023B") == 0 &&
           strcmp(format_bytes(buf, 1024), "1.0K") == 0 &&
           strcmp(format_bytes(buf, 1536 * 1024), "1.5M") == 0 &&
           strcmp(format_bytes(buf, UINT64_MAX), "15.9E") == 0,
       "bytes: %s", buf);
}

int main(void) {
    test_parsing();
    test_values();
    test_before_verb();
    test_tables();
    test_hosts();
    test_keys();
    test_texts();
    return tap_end();
}
