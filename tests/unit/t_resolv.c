/* resolv.conf, taken and given back. */
#include "net/resolv.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static const struct ip *vip(void) {
    static struct ip ip;
    (void)ip_parse("169.254.53.53", &ip);
    return &ip;
}

#define BLOCK "# pinnace answers for the resolvers marked below, and puts them back at the end\n"

static const struct {
    const char *name, *text, *taken;
    size_t servers;
} cases[] = {
    { "one server", "nameserver 10.0.0.1\n",
      BLOCK "nameserver 169.254.53.53\n#pinnace nameserver 10.0.0.1\n", 1 },
    { "search and options stay in place",
      "search a.b c\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5 timeout:1\n",
      BLOCK "nameserver 169.254.53.53\nsearch a.b c\n#pinnace nameserver 10.0.0.1\n"
            "#pinnace nameserver 10.0.0.2\noptions ndots:5 timeout:1\n",
      2 },
    { "no newline at the end", "nameserver 10.0.0.1",
      BLOCK "nameserver 169.254.53.53\n#pinnace nameserver 10.0.0.1", 1 },
    { "nothing", "", BLOCK "nameserver 169.254.53.53\n", 0 },
    { "comments, CRLF and tabs", "; dhcp\r\nnameserver\t10.0.0.1\r\n#nameserver 10.0.0.9\n",
      BLOCK "nameserver 169.254.53.53\n; dhcp\r\n#pinnace nameserver\t10.0.0.1\r\n"
            "#nameserver 10.0.0.9\n",
      1 },
    { "a line that looks like our mark", "#pinnace nameserver 10.0.0.9\nnameserver 10.0.0.1\n",
      BLOCK "nameserver 169.254.53.53\n#pinnace #pinnace nameserver 10.0.0.9\n"
            "#pinnace nameserver 10.0.0.1\n",
      1 },
    { "IPv6 and one with garbage", "nameserver fd00::2\nnameserver nonsense\nnameserver ::1\n",
      BLOCK "nameserver 169.254.53.53\n#pinnace nameserver fd00::2\n"
            "#pinnace nameserver nonsense\n#pinnace nameserver ::1\n",
      2 },
};

static void round_trips(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char a[2048], b[2048], again[2048];
        struct text taken = TEXT(a), back = TEXT(b), twice = TEXT(again);
        const char *text = cases[i].text;
        struct resolv before, after;
        resolv_parse(&before, text, strlen(text));
        OK(resolv_take(&taken, text, strlen(text), vip()) && strcmp(a, cases[i].taken) == 0,
           "%s: taken", cases[i].name);
        resolv_parse(&after, a, taken.len);
        OK(before.n == cases[i].servers && after.n == before.n &&
               memcmp(before.servers, after.servers, sizeof before.servers) == 0,
           "%s: the servers are told before and after: %zu, %zu", cases[i].name, before.n, after.n);
        OK(!before.ours && after.ours && ip_equal(&after.by, vip()), "%s: and who answers",
           cases[i].name);
        OK(resolv_take(&twice, a, taken.len, vip()) && strcmp(again, a) == 0,
           "%s: taking it twice changes nothing", cases[i].name);
        OK(resolv_give_back(&back, a, taken.len) && back.len == strlen(text) &&
               memcmp(b, text, back.len) == 0,
           "%s: given back byte for byte", cases[i].name);
    }
}

static void somebody_edits(void) {
    char a[512], b[512];
    struct text taken = TEXT(a), back = TEXT(b);
    struct resolv r;
    static const char text[] =
        BLOCK "nameserver 169.254.53.53\n#pinnace nameserver 10.0.0.1\nnameserver 10.9.9.9\n";
    resolv_parse(&r, text, strlen(text));
    OK(r.n == 2, "a server that was added to our version counts: %zu", r.n);
    OK(resolv_take(&taken, text, strlen(text), vip()) &&
           strstr(a, "#pinnace nameserver 10.9.9.9\n"),
       "and is marked the next time");
    OK(resolv_give_back(&back, a, taken.len) &&
           strcmp(b, "nameserver 10.0.0.1\nnameserver 10.9.9.9\n") == 0,
       "and stays when ours goes");
    static const char plain[] = "nameserver 10.0.0.1\n";
    char c[64];
    struct text copy = TEXT(c);
    OK(resolv_give_back(&copy, plain, strlen(plain)) && strcmp(c, plain) == 0,
       "a file that is not ours is only copied");
}

static void bounds(void) {
    struct resolv r;
    char text[1024] = "";
    struct text t = TEXT(text);
    for (int i = 1; i <= MAX_UPSTREAMS + 3; i++)
        text_add(&t, "nameserver 10.0.0.%d\nnameserver 10.0.0.%d\n", i, i);
    resolv_parse(&r, text, t.len);
    OK(r.n == MAX_UPSTREAMS && r.more == 6, "servers past the bound are counted: %zu %zu", r.n,
       r.more);
    char small[64];
    struct text cut = TEXT(small);
    OK(!resolv_take(&cut, text, t.len, vip()) && cut.cut, "what does not fit is told");
    resolv_parse(&r, "nameserver 10.0.0.1\0nameserver 10.0.0.2\n", 40);
    OK(r.n <= 2, "NUL bytes are only bytes");
    resolv_parse(&r, BLOCK, strlen(BLOCK));
    OK(r.ours && r.n == 0 && ip_is_none(&r.by), "a block without its server");
    static const char words[] =
        "domain old.test\nsearch a.test b.test \r\noptions ndots:5\nsearchx y\n";
    resolv_parse(&r, words, strlen(words));
    OK(strcmp(r.search, "a.test b.test") == 0 && strcmp(r.options, "ndots:5") == 0,
       "search and options are told: '%s' '%s'", r.search, r.options);
    resolv_parse(&r, "nameserver 0.0.0.0\nnameserver\n", 30);
    OK(r.n == 0, "0.0.0.0 and nothing at all are no servers");
}

int main(void) {
    round_trips();
    somebody_edits();
    bounds();
    return tap_end();
}
