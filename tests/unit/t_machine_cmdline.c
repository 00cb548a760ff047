/* The kernel's command line: tables. */
#include "machine/cmdline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/tap.h"

/* All that ip= said, in one line. */
static const char *said(const struct cmdline_ip *ip, char *buf, size_t cap) {
    char a[PREFIX_TEXT], g[IP_TEXT], d[2][IP_TEXT];
    struct text t = { .buf = buf, .cap = cap };
    *buf = '\0';
    if (ip->off)
        text_add(&t, "off ");
    text_add(&t, "%s via %s host '%s' on '%s' dns %s %s",
             ip->client.ip.family ? prefix_text(&ip->client, a) : "none", ip_text(&ip->gateway, g),
             ip->host, ip->device, ip_text(&ip->dns[0], d[0]), ip_text(&ip->dns[1], d[1]));
    return buf;
}

static void good(void) {
    static const struct {
        const char *line, *want;
    } cases[] = {
        { "ip=172.16.0.2::172.16.0.1:255.255.255.0::eth0:off",
          "172.16.0.2/24 via 172.16.0.1 host '' on 'eth0' dns none none" },
        { "quiet ip=10.0.2.15::10.0.2.2:255.255.255.0:box:eth0:off:10.0.2.3:1.1.1.1:ntp",
          "10.0.2.15/24 via 10.0.2.2 host 'box' on 'eth0' dns 10.0.2.3 1.1.1.1" },
        { "ip=10.0.0.2:::30", "10.0.0.2/30 via none host '' on '' dns none none" },
        { "ip=10.0.0.2:::0.0.0.0", "10.0.0.2/0 via none host '' on '' dns none none" },
        { "ip=10.0.0.2:::255.255.255.255", "10.0.0.2/32 via none host '' on '' dns none none" },
        { "ip=10.0.0.2::", "10.0.0.2/8 via none host '' on '' dns none none" },
        { "ip=172.20.0.2::", "172.20.0.2/16 via none host '' on '' dns none none" },
        { "ip=192.168.7.2::", "192.168.7.2/24 via none host '' on '' dns none none" },
        { "ip=0.0.0.0::0.0.0.0:::eth1:dhcp", "none via none host '' on 'eth1' dns none none" },
        { "ip=[fd00::2]::[fd00::1]:64:box:eth0:off:[fd00::53]",
          "fd00::2/64 via fd00::1 host 'box' on 'eth0' dns fd00::53 none" },
        { "ip=dhcp", "none via none host '' on '' dns none none" },
        { "ip=off", "off none via none host '' on '' dns none none" },
        { "ip=none", "off none via none host '' on '' dns none none" },
        { "ip=:::::::", "none via none host '' on '' dns none none" },
        { "ip=1.2.3.4::::a:b:c:::e:f:g:h:i", "1.2.3.4/8 via none host 'a' on 'b' dns none none" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmdline_ip ip;
        struct err e = { 0 };
        char buf[512];
        int rc = cmdline_ip(cases[i].line, 0, &ip, &e);
        OK(rc == 1 && strcmp(said(&ip, buf, sizeof buf), cases[i].want) == 0, "%s: %s%s",
           cases[i].line, e.text, rc == 1 ? buf : "");
    }
}

static void bad(void) {
    static const struct {
        const char *line, *names;
    } cases[] = {
        { "ip=10.0.0.300::", "10.0.0.300" },
        { "ip=10.0.0.1::x:24", "gateway" },
        { "ip=10.0.0.1:::255.0.255.0", "netmask" },
        { "ip=10.0.0.1:::33", "netmask" },
        { "ip=[fd00::1]:::129", "netmask" },
        { "ip=[fd00::1]:::255.255.255.0", "netmask" },
        { "ip=10.0.0.1:::24:h:0123456789abcdef", "name of a link" },
        { "ip=10.0.0.1:::24:h:eth0:off:53", "resolver" },
        { "ip=[fd00::1]x:", "field 1" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cmdline_ip ip;
        struct err e = { 0 };
        int rc = cmdline_ip(cases[i].line, 0, &ip, &e);
        OK(rc == -EINVAL && strstr(e.text, cases[i].names), "%s: %d %s", cases[i].line, rc, e.text);
    }
    char line[400] = "ip=";
    struct cmdline_ip ip;
    struct err e = { 0 };
    memset(line + 3, 'a', sizeof line - 4);
    memcpy(line + sizeof line - 3, "::", 3);
    OK(cmdline_ip(line, 0, &ip, &e) == -EINVAL && strstr(e.text, "too long"), "a long field: %s",
       e.text);
}

static void several(void) {
    static const char line[] =
        "a ip=10.0.0.1::  b\tip=10.0.1.1::\nx=\"ip=9.9.9.9:: y\" -- ip=8.8.8.8::";
    struct cmdline_ip ip;
    struct err e = { 0 };
    char buf[PREFIX_TEXT];
    OK(cmdline_ip(line, 0, &ip, &e) == 1 && !strcmp(prefix_text(&ip.client, buf), "10.0.0.1/8"),
       "the first");
    OK(cmdline_ip(line, 1, &ip, &e) == 1 && !strcmp(prefix_text(&ip.client, buf), "10.0.1.1/8"),
       "the second");
    OK(cmdline_ip(line, 2, &ip, &e) == 0, "neither what is quoted nor what is init's");
    OK(cmdline_ip("", 0, &ip, &e) == 0, "nothing at all");
}

static void words(void) {
    OK(cmdline_has("console=ttyS0 ro quiet", "ro"), "ro is there");
    OK(!cmdline_has("root=/dev/vda rootwait", "ro"), "but not as the beginning of another word");
    OK(!cmdline_has("quiet -- ro", "ro"), "nor behind --");
    OK(cmdline_has("reboot=k", "reboot=k") && !cmdline_has("reboot=kbd", "reboot=k"), "reboot=k");
    OK(cmdline_init_words("quiet splash") == 0, "no CMD");
    OK(cmdline_init_words("quiet --") == 0, "an empty one");
    OK(cmdline_init_words("a -- b c\n") == 2, "two words");
    OK(cmdline_init_words("a -- sh -c \"echo a b; exit 7\"\n") == 3, "quotes keep blanks");
    OK(cmdline_init_words("a -- b -- c") == 3, "a second -- is a word of CMD");
}

int main(void) {
    good();
    bad();
    several();
    words();
    return tap_end();
}
