#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "conf/options.h"
#include "tests/unit/tap.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static char *const no_env[] = { NULL };
static struct err err;

/* The whole way of one file's text. On failure err.text is the message. */
static int load(struct conf *c, const char *text) {
    int rc = conf_begin(c, &err);
    rc = rc < 0 ? rc : conf_add_text(c, "a.ini", text, &err);
    rc = rc < 0 ? rc : conf_finish(c, &err);
    if (rc < 0)
        conf_free(c);
    return rc;
}

/* One option in the section it belongs to; a service gets the command it must have. */
static int load_option(struct conf *c, enum section_id id, const char *key, const char *value) {
    static char text[2 * MAX_INI_LINE];
    bool service = id == SECTION_SERVICE;
    (void)snprintf(text, sizeof text, "[%s%s]\n%s = %s\n%s", sections[id].name,
                   service                 ? " web"
                   : id == SECTION_CHANNEL ? " local"
                                           : "",
                   key, value, service && strcmp(key, "command") != 0 ? "command = x\n" : "");
    return load(c, text);
}

static void has_only_good_rows(void) {
    for (size_t i = 0; i < NSECTIONS; i++) {
        OK(sections[i].n <= CONF_MAX_OPTIONS && sections[i].help[0], "section %s",
           sections[i].name);
        for (size_t k = 0; k < sections[i].n; k++) {
            const struct option *o = &sections[i].options[k];
            size_t n = strlen(o->help);
            OK(n > 10 && strchr(".:", o->help[n - 1]) && o->allowed[0] && n < 400,
               "%s.%s is documented", sections[i].name, o->key);
            OK(option_find(&sections[i], o->key) == (int)k, "%s.%s is there once", sections[i].name,
               o->key);
            struct conf c;
            OK(!o->preset || load_option(&c, (enum section_id)i, o->key, o->preset) == 0,
               "%s.%s = %s, its default", sections[i].name, o->key, o->preset ? o->preset : "");
            if (o->preset)
                conf_free(&c);
        }
    }
    OK(option_find(&sections[SECTION_MAIN], "nothing") == -1, "no such option");
}

#define P SECTION_PINNACE
#define E SECTION_ENGINE
#define D SECTION_DNS
#define N SECTION_NET
#define M SECTION_MAIN
#define C SECTION_CHANNEL
#define S SECTION_SERVICE

static const struct {
    enum section_id id;
    const char *key, *value;
} good[] = {
    { P, "log", "json" },
    { P, "log-level", "error" },
    { P, "log-level", "debug" },
    { P, "log-dir", "none" },
    { P, "log-dir", "/var/log" },
    { P, "run-dir", "/run/x" },
    { P, "boot-timeout", "never" },
    { P, "boot-timeout", "36500d" },
    { P, "on-boot-timeout", "stay" },
    { P, "grace", "0s" },
    { P, "drain-delay", "1m30s" },
    { P, "ready-fd", "3" },
    { P, "ready-fd", "1023" },
    { P, "ready-fd", "none" },
    { P, "parent-death-signal", "KILL" },
    { P, "parent-death-signal", "none" },
    { E, "enabled", "yes" },
    { E, "command", "dockerd --debug" },
    { E, "flags", "--label 'a b'" },
    { E, "env", "A=1 B= 'C=x y'" },
    { E, "iptables", "off" },
    { E, "daemon-json", "own" },
    { E, "cgroup", "off" },
    { E, "tmpfs-tmp", "yes" },
    { E, "tmpfs-tmp", "true" },
    { E, "tmpfs-tmp", "on" },
    { E, "tmpfs-tmp", "1" },
    { E, "tmpfs-tmp", "false" },
    { E, "ready", "tcp:127.0.0.1:2375" },
    { E, "ready", "" },
    { E, "max-restarts", "unlimited" },
    { E, "max-restarts", "1000000" },
    { D, "mode", "dnat" },
    { D, "upstream", "auto" },
    { D, "upstream", "10.0.0.2 fd00::2 127.0.0.11" },
    { D, "address", "auto" },
    { D, "address", "10.99.0.1" },
    { N, "reserve", "" },
    { N, "reserve", "10.0.0.0/8 192.168.7.1 fd00::/8" },
    { N, "repair", "off" },
    { M, "command", "" },
    { M, "map-signal", "TERM:QUIT HUP:0 RTMIN+1:64" },
    { M, "remap-exit", "0 143 255" },
    { C, "listen", "none" },
    { C, "listen", "unix:/run/x" },
    { C, "dialect", "native" },
    { C, "auth", "peer" },
    { C, "auth", "none" },
    { C, "token", "s p a c e" },
    { C, "token-file", "/run/secrets/x" },
    { C, "users", "ann 1000" },
    { C, "origins", "https://example.org http://localhost:3000" },
    { C, "mode", "0666" },
    { C, "mode", "600" },
    { S, "command", "/bin/sh -c 'a ; b # c'" },
    { S, "oneshot", "yes" },
    { S, "alive-threshold", "1" },
    { S, "alive-threshold", "1000000" },
    { S, "restart", "always" },
    { S, "backoff", "1ms..1ms" },
    { S, "stop-signal", "RTMIN+3" },
    { S, "stop-signal", "15" },
    { S, "limits", "nofile=1024:4096 core=0 stack=unlimited memlock=64k" },
    { S, "oom-score-adj", "-1000" },
    { S, "oom-score-adj", "1000" },
    { S, "log", "none" },
};

#define LISTEN_FORMS "unix:PATH | tcp:ADDRESS:PORT | vsock:PORT | fd:NAME | auto | none"
#define AN_ADDRESS   "an address such as 127.0.0.1, [::1], localhost or *; names are not looked up"

static const struct {
    enum section_id id;
    const char *key, *value, *message;
} bad[] = {
    { C, "listen", "", "channel local.listen: '' is not one of " LISTEN_FORMS },
    { C, "listen", "/run/x", "channel local.listen: '/run/x' is not one of " LISTEN_FORMS },
    { C, "listen", "unix:run/x", "channel local.listen: 'unix:run/x' is not an absolute path" },
    { C, "listen", "unix:", "channel local.listen: 'unix:' is not an absolute path" },
    { C, "listen", "tcp:80",
      "channel local.listen: 'tcp:80' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT" },
    { C, "listen", "tcp::80",
      "channel local.listen: 'tcp::80' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT" },
    { C, "listen", "tcp:::1:80",
      "channel local.listen: 'tcp:::1:80' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT" },
    { C, "listen", "tcp:[::1]80",
      "channel local.listen: 'tcp:[::1]80' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT" },
    { C, "listen", "tcp:[]:80",
      "channel local.listen: 'tcp:[]:80' is not tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT" },
    { C, "listen", "tcp:[127.0.0.1]:80", "channel local.listen: '127.0.0.1' is not " AN_ADDRESS },
    { C, "listen", "tcp:[localhost]:80", "channel local.listen: 'localhost' is not " AN_ADDRESS },
    { C, "listen", "tcp:example.org:80", "channel local.listen: 'example.org' is not " AN_ADDRESS },
    { C, "listen", "tcp:127.0.0.1:0",
      "channel local.listen: port: '0' is not a whole number from 1 to 65535" },
    { C, "listen", "tcp:127.0.0.1:65536",
      "channel local.listen: port: '65536' is not a whole number from 1 to 65535" },
    { C, "listen",
      "tcp:127.0.0.1:", "channel local.listen: port: '' is not a whole number from 1 to 65535" },
    { C, "listen", "tcp:127.0.0.1:80x",
      "channel local.listen: port: '80x' is not a whole number from 1 to 65535" },
    { C, "listen", "vsock:4294967295",
      "channel local.listen: port: '4294967295' is not a whole number from 1 to 4294967294" },
    { C, "listen",
      "fd:", "channel local.listen: 'fd:' is not a name in LISTEN_FDNAMES, or a number" },
    { C, "listen", "fd:a:b",
      "channel local.listen: 'fd:a:b' is not a name in LISTEN_FDNAMES, or a number" },
    { C, "dialect", "x", "channel local.dialect: 'x' is not one of native | e2b | cloudflare" },
    { C, "auth", "pear",
      "channel local.auth: 'pear' is not one of auto | peer | token | none (did you mean peer?)" },
    { C, "token-file", "auto", "channel local.token-file: 'auto' is not an absolute path" },
    { C, "mode", "01000",
      "channel local.mode: '01000' is not a mode such as 0600, octal, at most 0777" },
    { C, "mode", "rw", "channel local.mode: 'rw' is not a mode such as 0600, octal, at most 0777" },
    { C, "mode", "0680",
      "channel local.mode: '0680' is not a mode such as 0600, octal, at most 0777" },
    { P, "log", "jsn", "pinnace.log: 'jsn' is not one of text | json (did you mean json?)" },
    { P, "log", "", "pinnace.log: '' is not one of text | json" },
    { P, "log-level", "warning",
      "pinnace.log-level: 'warning' is not one of error | warn | info | debug (did you mean "
      "warn?)" },
    { P, "log-dir", "logs", "pinnace.log-dir: 'logs' is not an absolute path" },
    { P, "run-dir", "./run", "pinnace.run-dir: './run' is not an absolute path" },
    { P, "run-dir", "none", "pinnace.run-dir: 'none' is not an absolute path" },
    { P, "boot-timeout", "5",
      "pinnace.boot-timeout: '5' is not a time such as 500ms, 5s, 1m30s, or never" },
    { P, "boot-timeout", "36501d",
      "pinnace.boot-timeout: '36501d' is more than 36500 days, or never" },
    { P, "grace", "never", "pinnace.grace: 'never' is not a time such as 500ms, 5s, 1m30s" },
    { P, "grace", "10s ; long",
      "pinnace.grace: '10s ; long' is not a time such as 500ms, 5s, 1m30s (comments stand on "
      "lines of their own)" },
    { P, "grace", "10s # long",
      "pinnace.grace: '10s # long' is not a time such as 500ms, 5s, 1m30s (comments stand on "
      "lines of their own)" },
    { P, "ready-fd", "2", "pinnace.ready-fd: '2' is not a whole number from 3 to 1023" },
    { P, "ready-fd", "1024", "pinnace.ready-fd: '1024' is not a whole number from 3 to 1023" },
    { P, "parent-death-signal", "TERMINATE",
      "pinnace.parent-death-signal: 'TERMINATE' is not a signal such as TERM, USR1, RTMIN+3 or "
      "15" },
    { E, "enabled", "maybe", "engine.enabled: 'maybe' is not one of auto | yes | no" },
    { E, "flags", "'--x", "engine.flags: a quote is left open in: '--x" },
    { E, "env", "A=1 B", "engine.env: 'B' is not NAME=value" },
    { E, "env", "=1", "engine.env: '=1' is not NAME=value" },
    { E, "tmpfs-tmp", "ye", "engine.tmpfs-tmp: 'ye' is not yes or no" },
    { E, "tmpfs-tmp", "", "engine.tmpfs-tmp: '' is not yes or no" },
    { E, "max-restarts", "0", "engine.max-restarts: '0' is not a whole number from 1 to 1000000" },
    { E, "max-restarts", "1000001",
      "engine.max-restarts: '1000001' is not a whole number from 1 to 1000000" },
    { D, "mode", "forwards",
      "dns.mode: 'forwards' is not one of auto | dnat | forward | off (did you mean forward?)" },
    { D, "upstream", "dns.example",
      "dns.upstream: 'dns.example' is not an IP address such as 10.0.0.2 or fd00::2" },
    { D, "upstream", "0.0.0.0",
      "dns.upstream: '0.0.0.0' is not an IP address such as 10.0.0.2 or fd00::2" },
    { D, "upstream", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9",
      "dns.upstream: more than 8 addresses" },
    { D, "address", "fd00::1",
      "dns.address: 'fd00::1' is not auto or an IPv4 address such as 169.254.53.53" },
    { N, "reserve", "10.0.0.0/33",
      "net.reserve: '10.0.0.0/33' is not a subnet such as 10.87.0.0/16" },
    { N, "reserve", "10.1.2.3/8",
      "net.reserve: '10.1.2.3/8' has bits behind its length (did you mean 10.0.0.0/8?)" },
    { N, "repair", "no", "net.repair: 'no' is not one of auto | off" },
    { M, "map-signal", "TERM",
      "main.map-signal: 'TERM' is not FROM:TO with signals, such as TERM:QUIT or HUP:0" },
    { M, "map-signal", "HUP:BOGUS",
      "main.map-signal: 'HUP:BOGUS' is not FROM:TO with signals, such as TERM:QUIT or HUP:0" },
    { M, "map-signal", "0:TERM",
      "main.map-signal: '0:TERM' is not FROM:TO with signals, such as TERM:QUIT or HUP:0" },
    { M, "remap-exit", "256", "main.remap-exit: '256' is not a whole number from 0 to 255" },
    { M, "start", "soon", "main.start: 'soon' is not one of ready | now" },
    { S, "alive-threshold", "0",
      "web.alive-threshold: '0' is not a whole number from 1 to 1000000" },
    { S, "alive-threshold", "1000001",
      "web.alive-threshold: '1000001' is not a whole number from 1 to 1000000" },
    { S, "restart", "allways",
      "web.restart: 'allways' is not one of always | on-failure | never (did you mean always?)" },
    { S, "backoff", "1s", "web.backoff: '1s' is not a range of times such as 100ms..30s" },
    { S, "backoff", "..1s", "web.backoff: '..1s' is not a range of times such as 100ms..30s" },
    { S, "backoff", "1s..", "web.backoff: '' is not a time such as 500ms, 5s, 1m30s" },
    { S, "backoff", "0s..1s",
      "web.backoff: '0s..1s': the first time must be above 0 and not above the second" },
    { S, "backoff", "2s..1s",
      "web.backoff: '2s..1s': the first time must be above 0 and not above the second" },
    { S, "backoff", "1s..never", "web.backoff: 'never' is not a time such as 500ms, 5s, 1m30s" },
    { S, "stop-signal", "none",
      "web.stop-signal: 'none' is not a signal such as TERM, USR1, RTMIN+3 or 15" },
    { S, "limits", "nofile", "web.limits: 'nofile' is not NAME=SOFT[:HARD]" },
    { S, "limits", "nofiles=1",
      "web.limits: 'nofiles' is not a resource limit (did you mean nofile?)" },
    { S, "limits", "nofile=x", "web.limits: 'x' is not a size such as 4096, 64k, 1m" },
    { S, "limits", "nofile=1:y", "web.limits: 'y' is not a size such as 4096, 64k, 1m" },
    { S, "limits", "nofile=2:1", "web.limits: 'nofile': the soft limit is above the hard one" },
    { S, "oom-score-adj", "-1001",
      "web.oom-score-adj: '-1001' is not inherit or a number from -1000 to 1000" },
    { S, "oom-score-adj", "1001",
      "web.oom-score-adj: '1001' is not inherit or a number from -1000 to 1000" },
    { S, "oom-score-adj", "--1",
      "web.oom-score-adj: '--1' is not inherit or a number from -1000 to 1000" },
};

static void takes_and_refuses_values(void) {
    struct conf c;
    char want[512];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        bool taken = load_option(&c, good[i].id, good[i].key, good[i].value) == 0;
        OK(taken, "%s = %s (%s)", good[i].key, good[i].value, taken ? "" : err.text);
        if (taken)
            conf_free(&c);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        (void)snprintf(want, sizeof want, "a.ini:2: %s", bad[i].message);
        int rc = load_option(&c, bad[i].id, bad[i].key, bad[i].value);
        OK(rc == -err.code && rc < 0 && strcmp(err.text, want) == 0, "says: %s", err.text);
        if (rc == 0)
            conf_free(&c);
    }
}

/* What the values become, field by field. */
static void keeps_values(void) {
    struct conf c;
    OK(load(&c, "[pinnace]\nlog = json\nlog-level = debug\non-boot-timeout = stay\n"
                "boot-timeout = never\ngrace = 3s\nready-fd = 9\nparent-death-signal = USR1\n"
                "[main]\ncommand = a 'b c'\nmap-signal = TERM:QUIT HUP:0\nremap-exit = 143 64\n"
                "on-exit = stay\nsignal-group = on\n"
                "[service web]\ncommand = x\nlimits = nofile=1k:2k core=0 stack=unlimited\n"
                "oom-score-adj = -5\nbackoff = 2ms..3s\nrestart = never\nlog = file\n"
                "max-restarts = unlimited\nready = tcp:127.0.0.1:80\nstop-signal = 9\n") == 0,
       "a file with many values: %s", err.text);
    OK(c.pinnace.log == LOG_JSON && c.pinnace.log_level == LOG_DEBUG &&
           c.pinnace.on_boot_timeout == BOOT_TIMEOUT_STAY,
       "choices");
    OK(span_is_never(c.pinnace.boot_timeout) && c.pinnace.grace.ns == span_s(3).ns, "times");
    OK(c.pinnace.ready_fd == 9 && c.pinnace.parent_death_signal == SIGUSR1, "numbers");
    OK(c.main.command && strcmp(c.main.command[1], "b c") == 0 && !c.main.command[2], "words");
    OK(c.main.map_signal.to[15] == 3 && c.main.map_signal.to[1] == 0 &&
           c.main.map_signal.to[2] == 2 && c.main.map_signal.to[64] == 64,
       "signals");
    OK(c.main.remap_exit.bits[2] == UINT64_C(1) << 15 && c.main.remap_exit.bits[1] == 1 &&
           c.main.remap_exit.bits[0] == 0 && c.main.remap_exit.bits[3] == 0,
       "statuses");
    OK(c.main.on_exit == EXIT_STAY && c.main.signal_group && c.main.start == START_READY, "main");
    const struct svc_conf *s = c.services[0];
    OK(s->limits.n == 3 && s->limits.item[0].resource == RLIMIT_NOFILE &&
           s->limits.item[0].value.rlim_cur == 1024 && s->limits.item[0].value.rlim_max == 2048 &&
           s->limits.item[1].value.rlim_max == 0 &&
           s->limits.item[2].value.rlim_cur == RLIM_INFINITY,
       "limits");
    OK(s->oom_score_adj == -5 && s->backoff.from.ns == span_ms(2).ns &&
           s->backoff.to.ns == span_s(3).ns && s->restart == RESTART_NEVER &&
           s->log == LOG_TO_FILE && s->max_restarts == 0 && s->stop_signal == SIGKILL,
       "a service's values");
    OK(s->ready && s->ready->kind == PROBE_TCP && !s->alive, "probes");
    conf_free(&c);
    conf_free(&c);
    OK(c.nservices == 0 && c.nsources == 0, "freed twice");
}

static void refuses_structure(void) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "log = json\n", "a.ini:1: 'log' stands before any [section]" },
        { "[mian]\n", "a.ini:1: [mian] is not a section; there are [pinnace], [engine], [dns], "
                      "[net], [machine], [main], "
                      "[channel NAME], [service NAME] (did you mean [main]?)" },
        { "\n\n[zzzzzzzzz]\n", "a.ini:3: [zzzzzzzzz] is not a section; there are [pinnace], "
                               "[engine], [dns], [net], [machine], [main], [channel NAME], "
                               "[service NAME]" },
        { "[main]\ncomand = x\n", "a.ini:2: main.comand: no such key (did you mean command?)" },
        { "[service web]\nrestrat = always\n",
          "a.ini:2: web.restrat: no such key (did you mean restart?)" },
        { "[main]\nxyzzyplugh = 1\n",
          "a.ini:2: main.xyzzyplugh: no such key; `pinnace config --help` lists them" },
        { "[main]\nuser = a\n\nuser = b\n", "a.ini:4: main.user: given twice" },
        { "[main]\nuser = a\n[pinnace]\n[main]\nuser = b\n", "a.ini:5: main.user: given twice" },
        { "[main]\nhello\n", "a.ini:2: neither [section] nor key = value" },
        { "[main\nuser = x\n", "a.ini:1: neither [section] nor key = value" },
        { "[service web]\n",
          "a.ini:1: [service web] needs a command: write command = PROGRAM ARGUMENTS" },
        { "[service web]\nuser = x\n",
          "a.ini:1: [service web] needs a command: write command = PROGRAM ARGUMENTS" },
        { "[service web]\ncommand =\n",
          "a.ini:2: [service web] needs a command: write command = PROGRAM ARGUMENTS" },
        { "[service web]\ncommand = x\noneshot = yes\nready = tcp:1.2.3.4:5\n",
          "a.ini:4: web.ready: a oneshot is ready when it has exited 0; drop one of them" },
        { "[service ]\n", "a.ini:1: a service name has 1 to 31 bytes" },
        { "[service a23456789b123456789c123456789d12]\n",
          "a.ini:1: a service name has 1 to 31 bytes" },
        { "[service main]\n", "a.ini:1: service name 'main' is taken: use the section [main]" },
        { "[service engine]\n",
          "a.ini:1: service name 'engine' is taken: use the section [engine]" },
        { "[service pinnace]\n",
          "a.ini:1: service name 'pinnace' is taken: use the section [pinnace]" },
        { "[service a/b]\n",
          "a.ini:1: service name 'a/b' may hold letters, digits and, not first, - _ ." },
        { "[service -a]\n",
          "a.ini:1: service name '-a' may hold letters, digits and, not first, - _ ." },
        { "[service .a]\n",
          "a.ini:1: service name '.a' may hold letters, digits and, not first, - _ ." },
        { "[service a b]\n",
          "a.ini:1: service name 'a b' may hold letters, digits and, not first, - _ ." },
        { "[service \xc3\xa4]\n",
          "a.ini:1: service name '\xc3\xa4' may hold letters, digits and, not first, - _ ." },
    };
    struct conf c;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = load(&c, rows[i].text);
        OK(rc < 0 && strcmp(err.text, rows[i].message) == 0, "says: %s", err.text);
        if (rc == 0)
            conf_free(&c);
    }
}

/* --- channels -------------------------------------------------------------------------------- */

static void parses_where_to_listen(void) {
    static const struct {
        const char *text;
        enum listen_kind kind;
        const char *what; /* the address; or the field text */
        unsigned port;
    } rows[] = {
        { "tcp:127.0.0.1:8080", LISTEN_TCP, "127.0.0.1", 8080 },
        { "tcp:localhost:1", LISTEN_TCP, "127.0.0.1", 1 },
        { "tcp:0.0.0.0:65535", LISTEN_TCP, "0.0.0.0", 65535 },
        { "tcp:[::1]:80", LISTEN_TCP, "::1", 80 },
        { "tcp:[::]:80", LISTEN_TCP, "::", 80 },
        { "tcp:*:80", LISTEN_TCP, "::", 80 },
        { "vsock:1024", LISTEN_VSOCK, "vsock:1024", 1024 },
        { "vsock:4294967294", LISTEN_VSOCK, "vsock:4294967294", 4294967294 },
        { "unix:/run/a b", LISTEN_UNIX, "/run/a b", 0 },
        { "fd:web", LISTEN_FD, "web", 0 },
        { "fd:0", LISTEN_FD, "0", 0 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[200], ip[IP_TEXT];
        struct conf c;
        (void)snprintf(text, sizeof text, "[channel x]\nlisten = %s\nauth = none\n", rows[i].text);
        if (!OK(load(&c, text) == 0, "%s: %s", rows[i].text, err.text))
            continue;
        const struct listen_spec *l = &c.channels[1]->listen;
        const char *what = l->kind == LISTEN_TCP ? ip_text(&l->ip, ip) : l->text;
        OK(l->kind == rows[i].kind && strcmp(what, rows[i].what) == 0 && l->port == rows[i].port,
           "%s is %s, %u", rows[i].text, what, l->port);
        OK(l->kind != LISTEN_TCP || strcmp(l->text, rows[i].text) == 0, "as written");
        conf_free(&c);
    }
}

static void bounds_listen(void) {
    char path[120], text[200];
    struct conf c;
    memset(path, 'a', sizeof path);
    path[0] = '/';
    for (int n = 107; n <= 108; n++) {
        (void)snprintf(text, sizeof text, "[channel local]\nlisten = unix:%.*s\n", n, path);
        int rc = load(&c, text);
        OK(rc == (n == 107 ? 0 : -ENAMETOOLONG), "a path of %d bytes: %s", n, err.text);
        if (rc == 0)
            conf_free(&c);
    }
    (void)snprintf(text, sizeof text, "[channel x]\nauth = none\nlisten = tcp:%.119s:80\n",
                   path + 1);
    OK(load(&c, text) < 0, "an address of 119 bytes: %s", err.text);
}

static void decides_who_may_ask(void) {
    struct conf c;
    OK(load(&c, "") == 0 && c.nchannels == 1, "a channel without being written: %s", err.text);
    const struct channel_conf *l = c.channels[0];
    OK(strcmp(l->name, "local") == 0 && l->listen.kind == LISTEN_AUTO && l->auth == AUTH_PEER &&
           l->mode == 0600 && l->dialect == DIALECT_NATIVE && !l->token && !l->token_file,
       "and how it is");
    conf_free(&c);
    OK(load(&c, "[channel a]\nlisten = tcp:127.0.0.1:1\ntoken = t\n"
                "[channel b]\nlisten = vsock:1\ntoken-file = /t\n"
                "[channel c]\nlisten = unix:/c\nusers = ann 7\nmode = 0666\n"
                "[channel d]\nlisten = fd:d\nauth = peer\n"
                "[channel e]\nlisten = tcp:*:1\nauth = none\n"
                "[channel f]\nlisten = none\n"
                "[channel g]\nlisten = tcp:*:2\ndialect = e2b\nuser = ann\nreplay = yes\n"
                "[channel h]\nlisten = tcp:*:3\ndialect = e2b\ntoken = t\n"
                "[channel i]\nlisten = unix:/i\ndialect = e2b\n"
                "[channel j]\nlisten = tcp:*:4\ndialect = cloudflare\nhold = all\nauth = none\n"
                "[channel k]\nlisten = unix:/k\ndialect = cloudflare\n"
                "[channel local]\nlisten = none\n") == 0,
       "channels: %s", err.text);
    static const int auths[] = { AUTH_TOKEN, AUTH_TOKEN, AUTH_TOKEN, AUTH_PEER,
                                 AUTH_PEER,  AUTH_NONE,  AUTH_TOKEN, AUTH_NONE,
                                 AUTH_TOKEN, AUTH_PEER,  AUTH_NONE,  AUTH_PEER };
    for (size_t i = 0; i < COUNT_OF(auths); i++)
        OK(c.channels[i]->auth == auths[i], "%s: %d", c.channels[i]->name, c.channels[i]->auth);
    OK(strcmp(c.channels[1]->token, "t") == 0 && strcmp(c.channels[2]->token_file, "/t") == 0 &&
           strcmp(c.channels[3]->users[1], "7") == 0 && c.channels[3]->mode == 0666,
       "values");
    OK(c.channels[7]->dialect == DIALECT_E2B && strcmp(c.channels[7]->user, "ann") == 0 &&
           c.channels[7]->replay && !c.channels[8]->replay,
       "values of the E2B dialect");
    OK(c.channels[10]->dialect == DIALECT_CLOUDFLARE && c.channels[10]->hold == HOLD_ALL &&
           c.channels[11]->hold == HOLD_SESSIONS && c.channels[11]->dialect == DIALECT_CLOUDFLARE,
       "values of the Cloudflare dialect");
    conf_free(&c);
    OK(c.nchannels == 0, "freed");
}

static void refuses_channels(void) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "[channel x]\n", "a.ini:1: [channel x]: it needs listen = unix:PATH, tcp:ADDRESS:PORT, "
                           "vsock:PORT or fd:NAME" },
        { "[channel x]\nlisten = auto\n",
          "a.ini:1: [channel x]: it needs listen = unix:PATH, tcp:ADDRESS:PORT, vsock:PORT or "
          "fd:NAME" },
        { "[channel a-b.c]\nlisten = tcp:127.0.0.1:1\n",
          "a.ini:1: [channel a-b.c]: whoever asks here must show a token: write token-file = PATH, "
          "or "
          "set PINNACE_CHANNEL_A_B_C_TOKEN; or write auth = none" },
        { "[channel x]\nlisten = unix:/x\nauth = token\n",
          "a.ini:1: [channel x]: whoever asks here must show a token: write token-file = PATH, or "
          "set PINNACE_CHANNEL_X_TOKEN; or write auth = none" },
        { "[channel x]\nlisten = unix:/x\nauth = token\ntoken = t\ntoken-file = /t\n",
          "a.ini:1: [channel x]: there is a token and a token-file; drop one of them" },
        { "[channel x]\nlisten = tcp:127.0.0.1:1\ndialect = e2b\nauth = token\n",
          "a.ini:1: [channel x]: whoever asks here must show a token: write token-file = PATH, or "
          "set PINNACE_CHANNEL_X_TOKEN; or write auth = none" },
        { "[channel x]\nlisten = tcp:127.0.0.1:1\ndialect = cloudflare\n",
          "a.ini:1: [channel x]: whoever asks here must show a token: write token-file = PATH, or "
          "set PINNACE_CHANNEL_X_TOKEN; or write auth = none" },
        { "[channel x]\nlisten = tcp:127.0.0.1:1\ndialect = e2b\nuser = "
          "a234567890123456789012345678901234567890123456789012345678901234\n",
          "a.ini:1: [channel x]: user: longer than 63 bytes" },
        { "[channel x]\nlisten = tcp:127.0.0.1:1\nauth = peer\n",
          "a.ini:1: [channel x]: auth = peer is for unix sockets: elsewhere nobody says who asks; "
          "use token" },
        { "[channel x]\nlisten = vsock:1\nauth = peer\n",
          "a.ini:1: [channel x]: auth = peer is for unix sockets: elsewhere nobody says who asks; "
          "use token" },
        { "[channel x]\nlisten = unix:/x\n[channel y]\nlisten = unix:/x\n",
          "a.ini:3: [channel y]: [channel x] listens there already" },
        { "[channel x]\nlisten = fd:a\nauth = none\n[channel y]\nlisten = fd:a\nauth = none\n",
          "a.ini:4: [channel y]: [channel x] listens there already" },
        { "[channel x]\nlisten = vsock:7\nauth = none\n[channel y]\nlisten = vsock:7\nauth=none\n",
          "a.ini:4: [channel y]: [channel x] listens there already" },
        { "[channel x]\nlisten = tcp:localhost:7\nauth = none\n"
          "[channel y]\nlisten = tcp:127.0.0.1:7\nauth = none\n",
          "a.ini:4: [channel y]: [channel x] listens there already" },
        { "[channel a/b]\n",
          "a.ini:1: channel name 'a/b' may hold letters, digits and, not first, - _ ." },
        { "[channel ]\n", "a.ini:1: a channel name has 1 to 31 bytes" },
        { "[channel local]\nlisen = auto\n",
          "a.ini:2: channel local.lisen: no such key (did you mean listen?)" },
        { "[channel local]\nmode = 0600\nmode = 0600\n",
          "a.ini:3: channel local.mode: given twice" },
        { "[chanel local]\n",
          "a.ini:1: [chanel local] is not a section; there are [pinnace], [engine], [dns], [net], "
          "[machine], [main], [channel NAME], [service NAME]" },
        { "[channels]\n",
          "a.ini:1: [channels] is not a section; there are [pinnace], [engine], [dns], [net], "
          "[machine], [main], [channel NAME], [service NAME]" },
    };
    struct conf c;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = load(&c, rows[i].text);
        OK(rc < 0 && strcmp(err.text, rows[i].message) == 0, "says: %s", err.text);
        if (rc == 0)
            conf_free(&c);
    }
    static const char *const fine[] = {
        "[channel x]\nlisten = tcp:127.0.0.1:7\nauth = none\n"
        "[channel y]\nlisten = tcp:127.0.0.2:7\nauth = none\n",
        "[channel x]\nlisten = tcp:127.0.0.1:7\nauth = none\n"
        "[channel y]\nlisten = tcp:127.0.0.1:8\nauth = none\n",
        "[channel x]\nlisten = none\n[channel y]\nlisten = none\n",
        "[channel main]\nlisten = none\n[channel engine]\nlisten = none\n",
    };
    for (size_t i = 0; i < COUNT_OF(fine); i++) {
        OK(load(&c, fine[i]) == 0, "not the same: %s", err.text);
        conf_free(&c);
    }
    static char text[MAX_CHANNELS * 64];
    struct text t = TEXT(text);
    for (int i = 1; i <= MAX_CHANNELS; i++) /* and local */
        text_add(&t, "[channel c%d]\nlisten = none\n", i);
    OK(load(&c, text) == -E2BIG &&
           strcmp(err.text, "a.ini:31: [channel c16] is one too many, 16 are allowed") == 0,
       "one more than there may be: %s", err.text);
}

static void reads_the_form(void) {
    struct conf c;
    OK(load(&c, "\xef\xbb\xbf; comment\n# another\n[main]\r\n  command=a\r\n\n"
                "cwd : /x ; y\n   # indented\nuser =\n"
                "[service a2345678901234567890123456789.1]\ncommand = x") == 0,
       "BOM, CRLF, blanks, colon, no newline at the end: %s", err.text);
    OK(strcmp(c.main.command[0], "a") == 0 && strcmp(c.main.cwd, "/x ; y") == 0 && !c.main.user,
       "no inline comments: '%s'", c.main.cwd);
    OK(strlen(c.services[0]->name) == MAX_NAME - 1, "a name of %d bytes", MAX_NAME - 1);
    conf_free(&c);
    OK(load(&c, "") == 0 && c.nservices == 0, "nothing at all");
    conf_free(&c);
    OK(load(&c, "[service a]\ncommand = x\n[main]\n[service a]\nuser = y\n") == 0 &&
           c.nservices == 1 && strcmp(c.services[0]->user, "y") == 0,
       "a section in two places is one");
    conf_free(&c);
}

/* `len` bytes of line 2: "cwd = /aaa..." */
static int load_line(struct conf *c, size_t len) {
    static char text[2 * MAX_INI_LINE];
    size_t n = (size_t)snprintf(text, sizeof text, "[main]\ncwd = /");
    memset(text + n, 'a', sizeof text - n);
    memcpy(text + 7 + len, "\nuser = u\n", 11);
    return load(c, text);
}

static void bounds_lines(void) {
    struct conf c;
    enum { MOST = MAX_INI_LINE - 3 };
    OK(load_line(&c, MOST) == 0, "a line of %d bytes", MOST);
    OK(strlen(c.main.cwd) == MOST - 6 && strcmp(c.main.user, "u") == 0, "whole, the next one too");
    conf_free(&c);
    OK(load_line(&c, MOST + 1) == -E2BIG &&
           strcmp(err.text, "a.ini:2: line of 4094 bytes, 4093 are allowed") == 0,
       "one byte more: %s", err.text);
    OK(load_line(&c, MAX_INI_LINE + 200) == -E2BIG, "and many more");
    char text[200];
    (void)snprintf(text, sizeof text, "[service %0100d]\n", 7);
    OK(load(&c, text) < 0 && strcmp(err.text, "a.ini:1: a service name has 1 to 31 bytes") == 0,
       "a long section name: %s", err.text);
}

static void bounds_services(void) {
    static char text[MAX_SERVICES * 64 + 64];
    struct text t = TEXT(text);
    struct conf c;
    for (int i = 0; i < MAX_SERVICES; i++)
        text_add(&t, "[service s%d]\ncommand = x\n", i);
    OK(load(&c, text) == 0 && c.nservices == MAX_SERVICES, "%d services", MAX_SERVICES);
    conf_free(&c);
    text_add(&t, "[service more]\n");
    OK(load(&c, text) == -E2BIG && strcmp(err.text, "a.ini:257: [service more] is one too many, "
                                                    "128 are allowed") == 0,
       "one more: %s", err.text);
}

static void bounds_words(void) {
    static char text[MAX_INI_LINE];
    struct conf c;
    for (int n = MAX_WORDS; n <= MAX_WORDS + 1; n++) {
        struct text t = TEXT(text);
        text_add(&t, "[main]\ncommand =");
        for (int i = 0; i < n; i++)
            text_add(&t, " w");
        int rc = load(&c, text);
        if (n == MAX_WORDS)
            OK(rc == 0 && c.main.command[n - 1] && !c.main.command[n], "%d words", n);
        else
            OK(rc == -E2BIG && strcmp(err.text, "a.ini:2: main.command: more than 256 words") == 0,
               "one more: %s", err.text);
        if (rc == 0)
            conf_free(&c);
    }
    struct text t = TEXT(text);
    text_add(&t, "[service a]\ncommand = x\nlimits =");
    for (int i = 0; i < MAX_RLIMITS; i++)
        text_add(&t, " core=%d", i);
    OK(load(&c, text) == 0 && c.services[0]->limits.n == MAX_RLIMITS, "%d limits", MAX_RLIMITS);
    conf_free(&c);
    text_add(&t, " core=0");
    OK(load(&c, text) == -E2BIG && strcmp(err.text, "a.ini:3: a.limits: more than 16 limits") == 0,
       "one more: %s", err.text);
}

/* --- dump and help ---------------------------------------------------------------------- */

static char dumped[2][1 << 16];

static void collect(void *arg, const char *line) { text_add(arg, "%s\n", line); }

static bool dump(const struct conf *c, char *buf) {
    struct text t = { .buf = buf, .cap = sizeof dumped[0] };
    buf[0] = '\0';
    conf_dump(c, collect, &t);
    return !t.cut;
}

static const char full[] =
    "[pinnace]\nlog = json\nlog-level = debug\nlog-dir = /var/log/p\nrun-dir = /run/p\n"
    "boot-timeout = 1m30s\non-boot-timeout = stay\ngrace = 20s\ndrain-delay = 1s\nready-fd = 4\n"
    "parent-death-signal = TERM\n"
    "[engine]\nenabled = yes\ncommand = dockerd\nflags = --label \"a b\" --x='y z'\nenv = A=1\n"
    "after = db\niptables = off\nstorage-driver = vfs\ndaemon-json = off\ncgroup = off\n"
    "tmpfs-tmp = yes\nready = tcp:127.0.0.1:2375\nstart-timeout = 1m\nstop-timeout = 5s\n"
    "max-restarts = 7\non-failure = shutdown\n"
    "[main]\ncommand = sh -c 'a ; b # c'\nstart = now\non-exit = stay\nuser = 1:2\ncwd = /w\n"
    "env = B=2\nsignal-group = yes\nmap-signal = TERM:INT\nremap-exit = 143\n"
    "[channel local]\nlisten = unix:/run/l\nusers = ann 'b c'\nmode = 0660\n"
    "[channel remote]\nlisten = tcp:*:8080\ndialect = native\nauth = token\n"
    "token-file = /run/secrets/token\norigins = https://example.org\n"
    "[service db]\ncommand = postgres -D /data\noneshot = no\nafter = net\nrequires = net\n"
    "ready = tcp:127.0.0.1:5432\nready-every = 1s\nalive = tcp:127.0.0.1:5432\nalive-every = 2s\n"
    "alive-threshold = 4\nprobe-timeout = 3s\nstart-timeout = 9s\nrestart = always\n"
    "max-restarts = 3\nbackoff = 1s..2s\non-failure = shutdown\nstop-signal = INT\n"
    "stop-timeout = 4s\nuser = postgres\ncwd = /data\nenv = C=3\nlimits = nofile=9\n"
    "oom-score-adj = -900\nlog = file\n"
    "[service net]\ncommand = netd\n";

static void dumps_what_it_read(void) {
    struct conf c;
    static const char *const texts[] = { "", full };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        OK(load(&c, texts[i]) == 0 && dump(&c, dumped[0]), "dumped: %s", err.text);
        conf_free(&c);
        OK(load(&c, dumped[0]) == 0 && dump(&c, dumped[1]), "the dump is read: %s", err.text);
        OK(strcmp(dumped[0], dumped[1]) == 0, "and dumps to the same");
        conf_free(&c);
    }
    for (const char *line = full; *line; line += strcspn(line, "\n") + 1) {
        char want[128];
        (void)snprintf(want, sizeof want, "%.*s\n", (int)strcspn(line, "\n"), line);
        OK(strstr(dumped[0], want), "the dump has: %.*s", (int)strcspn(line, "\n"), line);
    }
    OK(load(&c, "") == 0 && dump(&c, dumped[0]), "defaults");
    for (int i = 0; i < SECTION_SERVICE; i++) /* there is no service */
        for (size_t k = 0; k < sections[i].n; k++) {
            char want[128];
            const struct option *o = &sections[i].options[k];
            (void)snprintf(want, sizeof want, "\n%s = %s\n", o->key, o->preset ? o->preset : "");
            OK(strstr(dumped[0], want), "default of %s.%s is dumped", sections[i].name, o->key);
        }
    conf_free(&c);
}

static void keeps_secrets(void) {
    struct conf c;
    OK(load(&c, "[channel x]\nlisten = vsock:1\ntoken = hush\n") == 0 && dump(&c, dumped[0]),
       "a token: %s", err.text);
    OK(!strstr(dumped[0], "hush") &&
           strstr(dumped[0], "\n; token is set, and a secret: it is not shown\n"),
       "is not in the dump, which says so");
    conf_free(&c);
}

static void lists_every_option(void) {
    static char help[1 << 16], mdoc[1 << 16];
    struct text h = TEXT(help), m = TEXT(mdoc);
    conf_help(collect, &h);
    conf_mdoc(collect, &m);
    OK(!h.cut && !m.cut, "help and manual fit");
    for (size_t i = 0; i < NSECTIONS; i++)
        for (size_t k = 0; k < sections[i].n; k++) {
            const struct option *o = &sections[i].options[k];
            char line[512];
            (void)snprintf(line, sizeof line, "\n      %s\n", o->help);
            bool in_help = strstr(help, line) != NULL;
            (void)snprintf(line, sizeof line, ".It Cm %s Li = Ar %s\n", o->key, o->allowed);
            OK(in_help && strstr(mdoc, line), "%s.%s in help and manual", sections[i].name, o->key);
        }
}

/* --- files -------------------------------------------------------------------------------- */

static char dir[] = "/tmp/t_conf.XXXXXX";

static const char *file(const char *name, const char *bytes, size_t n) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    OK(write(fd, bytes, n) == (ssize_t)n, "%s is written", name);
    return path;
}

/* The message is `before`, the path, `after`. */
static bool refused(const char *path, int code, const char *before, const char *after) {
    struct conf c;
    char want[256];
    (void)snprintf(want, sizeof want, "%s%s%s", before, path, after);
    int rc = conf_load(&c, path, no_env, &err);
    if (rc == 0)
        conf_free(&c);
    return rc == -code && strcmp(err.text, want) == 0 && c.nservices == 0;
}

static void reads_files(void) {
    static char big[MAX_CONF_FILE + 1];
    struct conf c;
    const char *path = file("a.ini", "[service a]\ncommand = x\n", 24);
    OK(conf_load(&c, path, no_env, &err) == 0 && c.nservices == 1, "a file: %s", err.text);
    conf_free(&c);
    OK(refused(file("nul.ini", "[main]\n\0user = x\n", 17), EINVAL, "",
               " holds a NUL byte: not a text file"),
       "NUL: %s", err.text);
    OK(refused(dir, EINVAL, "", " is not a regular file"), "a directory: %s", err.text);
    OK(refused("/tmp/none/such.ini", ENOENT, "open ", ": No such file or directory"), "none: %s",
       err.text);
    memset(big, '\n', sizeof big);
    OK(conf_load(&c, file("big.ini", big, MAX_CONF_FILE), no_env, &err) == 0, "1 MiB: %s",
       err.text);
    conf_free(&c);
    OK(refused(file("big.ini", big, sizeof big), EFBIG, "",
               " has 1048577 bytes, 1048576 are allowed"),
       "one byte more: %s", err.text);
    char fifo[64];
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    OK(mkfifo(fifo, 0600) == 0 && refused(fifo, EINVAL, "", " is not a regular file"),
       "a FIFO does not block: %s", err.text);
    static const char *const names[] = { "a.ini", "nul.ini", "big.ini", "fifo" };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(fifo, sizeof fifo, "%s/%s", dir, names[i]);
        (void)unlink(fifo);
    }
    OK(rmdir(dir) == 0, "cleaned up");
}

static void orders_sources(void) {
    struct conf c;
    (void)conf_begin(&c, &err);
    OK(conf_add_text(&c, "one.ini", "[main]\nuser = a\ncwd = /1\n[service s]\ncommand = x\n",
                     &err) == 0 &&
           conf_add_text(&c, "two.ini", "[main]\nuser = b\n[service s]\ncommand = y\n", &err) == 0,
       "two files: %s", err.text);
    OK(strcmp(c.main.user, "b") == 0 && strcmp(c.main.cwd, "/1") == 0 && c.nservices == 1 &&
           strcmp(c.services[0]->command[0], "y") == 0,
       "the later one wins, key by key");
    OK(conf_add_text(&c, "three.ini", "\n[main]\nuser = a\nuser = b\n", &err) == -EEXIST &&
           strcmp(err.text, "three.ini:4: main.user: given twice") == 0,
       "twice in one file is an error: %s", err.text);
    conf_free(&c);
    (void)conf_begin(&c, &err);
    int rc = 0, n = 0;
    for (; rc == 0 && n < MAX_CONF_FILES + 8; n++)
        rc = conf_add_text(&c, "many.ini", "", &err);
    OK(rc == -E2BIG && n == MAX_CONF_FILES + 3, "file %d is too many: %s", n, err.text);
    conf_free(&c);
}

static void makes_units_of_its_own(void) {
    struct svc_conf *s = svc_conf_new("engine", &err);
    OK(s && strcmp(s->name, "engine") == 0 && s->stop_signal == SIGTERM &&
           s->oom_score_adj == OOM_INHERIT && s->restart == RESTART_ON_FAILURE &&
           span_is_never(s->start_timeout) && strcmp(s->cwd, "/") == 0 && !s->command,
       "a unit with every default");
    svc_conf_free(s);
}

int main(void) {
    has_only_good_rows();
    takes_and_refuses_values();
    keeps_values();
    refuses_structure();
    reads_the_form();
    bounds_lines();
    bounds_services();
    bounds_words();
    parses_where_to_listen();
    bounds_listen();
    decides_who_may_ask();
    refuses_channels();
    keeps_secrets();
    dumps_what_it_read();
    lists_every_option();
    if (OK(mkdtemp(dir), "a directory"))
        reads_files();
    orders_sources();
    makes_units_of_its_own();
    return tap_end();
}
