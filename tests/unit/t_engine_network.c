/* What the network around the box makes of daemon.json and of dockerd's flags: a table. A row
 * is a network, what the user has set, and the whole file and command line that come of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/plan.h"
#include "tests/unit/tap.h"

/* --- networks --- */

typedef void fill(struct engine_network *n);

static struct prefix net(const char *text) {
    struct prefix p;
    if (!prefix_parse(text, &p))
        OK(false, "%s is a prefix", text);
    return p;
}

static void take(struct engine_network *n, const char *what, const char *subnet) {
    struct engine_taken *t = &n->taken[n->ntaken++];
    t->p = net(subnet);
    (void)snprintf(t->what, sizeof t->what, "%s %s", what, subnet);
}

/* Nothing to be set; two things that must not be covered. */
static void quiet(struct engine_network *n) {
    take(n, "eth0's network", "10.87.0.0/16");
    take(n, "the resolver", "192.168.1.1/32");
    take(n, "eth0's network", "fd00:87::/64");
}

static void full(struct engine_network *n) {
    quiet(n);
    (void)ip_parse("169.254.53.53", &n->dns[0]);
    n->bip = net("172.18.0.1/16");
    n->pools[0].base = net("172.20.0.0/16");
    n->pools[1].base = net("10.200.0.0/16");
    n->pools[0].size = n->pools[1].size = 24;
    n->npools = 2;
    n->mtu = 1500;
}

static void dns_only(struct engine_network *n) { (void)ip_parse("169.254.53.53", &n->dns[0]); }

static void two_dns(struct engine_network *n) {
    dns_only(n);
    (void)ip_parse("fd00::53", &n->dns[1]);
}

static void zoned_dns(struct engine_network *n) {
    dns_only(n);
    (void)ip_parse("fe80::1", &n->dns[1]);
    n->dns[1].zone = 2;
}

static void second_dns(struct engine_network *n) { (void)ip_parse("fd00::53", &n->dns[1]); }
static void mtu1400(struct engine_network *n) { n->mtu = 1400; }
static void mtu1499(struct engine_network *n) { n->mtu = 1499; }
static void jumbo(struct engine_network *n) { n->mtu = 9000; }

static void all(struct engine_network *n) {
    full(n);
    n->mtu = 1400;
}

static void repaired(struct engine_network *n) {
    quiet(n);
    n->clash_is_repaired = true;
}

static void crowded(struct engine_network *n) {
    repaired(n);
    n->nneeded = 2;
    (void)ip_parse("10.87.0.5", &n->needed[0]);
    (void)ip_parse("10.87.200.1", &n->needed[1]);
}

static void full_up(struct engine_network *n) {
    repaired(n);
    for (n->nneeded = 0; n->nneeded < MAX_NEEDED; n->nneeded++)
        n->needed[n->nneeded] = prefix_nth(&n->taken[0].p, (uint32_t)n->nneeded << 12);
}

static void widest(struct engine_network *n) {
    for (n->npools = 0; n->npools < MAX_POOLS; n->npools++) {
        n->pools[n->npools].base = net("fd12:3456:789a:bcde:f012:3456:789a:bcde/128");
        n->pools[n->npools].size = 128;
    }
}

/* --- boxes --- */

typedef void change(struct engine_facts *f);
static void old(struct engine_facts *f) { f->dockerd_major = 20; }
static void unknown(struct engine_facts *f) { f->dockerd_major = 0; }
static void first(struct engine_facts *f) { f->dockerd_major = 24; }
static void read_only(struct engine_facts *f) { f->json_writable = false; }
static void all_read_only(struct engine_facts *f) { f->json_writable = f->run_writable = false; }
/* An engine in rootlesskit's namespaces, started by dockerd-rootless.sh. */
static void rootless(struct engine_facts *f) {
    f->uid = 1000;
    f->rootless_script = f->rootlesskit = f->newuidmap = f->rootless_net = f->tun = true;
}
static void no_nat(struct engine_facts *f) { f->nf_tables = NFT_ABSENT; }

/* --- what comes of it --- */

#define DNS              "\"dns\": [\"169.254.53.53\"]"
#define BIP              "\"bip\": \"172.18.0.1/16\""
#define POOL1            "{\"base\":\"172.20.0.0/16\",\"size\":24}"
#define POOL2            "{\"base\":\"10.200.0.0/16\",\"size\":24}"
#define POOLS            "\"default-address-pools\": [" POOL1 "," POOL2 "]"
#define MTU              "\"mtu\": 1400"
#define OPTION           "com.docker.network.driver.mtu"
#define OPTS             "\"default-network-opts\": {\"bridge\":{\"" OPTION "\":\"1400\"}}"
#define DNSF             " --dns=169.254.53.53"
#define BIPF             " --bip=172.18.0.1/16"
#define POOL1F           " --default-address-pool=base=172.20.0.0/16,size=24"
#define POOL2F           " --default-address-pool=base=10.200.0.0/16,size=24"
#define POOLSF           POOL1F POOL2F
#define MTUF             " --mtu=1400"
#define OPTSF            " --default-network-opt=bridge=" OPTION "=1400"
#define LONGEST          "fd12:3456:789a:bcde:f012:3456:789a:bcde/128"
#define WIDE             "{\"base\":\"" LONGEST "\",\"size\":128}"
#define WIDEF            " --default-address-pool=base=" LONGEST ",size=128"
#define L                ",\n    "
#define FILE_OF(members) "{\n    " members "\n}\n"

struct row {
    const char *what;
    fill *net;
    const char *flags, *json; /* of the user; NULL: none */
    const char *words;        /* the command behind "dockerd" */
    const char *file;         /* what is written; NULL: nothing is */
    const char *finding;      /* part of one; "": none of warning level or above */
    change *box;
    enum engine_json mode;
};

/* clang-format off */
static const struct row rows[] = {
    /* all of ours */
    { "no network is known", NULL, NULL, NULL, "", NULL, .finding = "" },
    { "a network that asks for nothing", quiet, NULL, NULL, "", NULL, .finding = "" },
    { "no file", full, NULL, NULL, "", FILE_OF(DNS L BIP L POOLS), .finding = "" },
    { "a file of no bytes", full, NULL, "", "", FILE_OF(DNS L BIP L POOLS), .finding = "" },
    { "a file of space", full, NULL, " \n\t\n", "", FILE_OF(DNS L BIP L POOLS), .finding = "" },
    { "a mark alone", full, NULL, "\xef\xbb\xbf", "", FILE_OF(DNS L BIP L POOLS), .finding = "" },
    { "a mark in front stays", dns_only, NULL, "\xef\xbb\xbf{\"debug\": true}", "", "\xef\xbb\xbf{\"debug\": true," DNS "}", .finding = "" },
    { "an empty object", dns_only, NULL, "{}", "", "{\n    " DNS "\n}", .finding = "" },
    { "two resolvers", two_dns, NULL, NULL, "", FILE_OF("\"dns\": [\"169.254.53.53\",\"fd00::53\"]"), .finding = "" },
    { "the second resolver alone", second_dns, NULL, NULL, "", FILE_OF("\"dns\": [\"fd00::53\"]"), .finding = "" },
    { "a resolver with a zone", zoned_dns, NULL, NULL, "", FILE_OF(DNS), .finding = "has a zone" },
    { "all, for a new engine", all, NULL, NULL, "", FILE_OF(DNS L BIP L POOLS L MTU L OPTS), .finding = "" },
    { "beside other wishes", full, NULL, NULL, "", FILE_OF("\"iptables\": false" L "\"ip6tables\": false" L DNS L BIP L POOLS), .finding = "NAT is not possible", .box = no_nat },
    /* MTU and version */
    { "a small MTU", mtu1400, NULL, NULL, "", FILE_OF(MTU L OPTS), .finding = "" },
    { "the first engine that knows of it", mtu1400, NULL, NULL, "", FILE_OF(MTU L OPTS), .finding = "", .box = first },
    { "an engine that is too old", mtu1400, NULL, NULL, "", FILE_OF(MTU), .finding = "dockerd 20 has no default-network-opts", .box = old },
    { "an engine of unknown age", mtu1400, NULL, NULL, "", FILE_OF(MTU), .finding = "does not say its version", .box = unknown },
    { "a little smaller", mtu1499, NULL, NULL, "", FILE_OF("\"mtu\": 1499"), .finding = "--opt " OPTION "=1499", .box = old },
    { "the usual MTU", full, NULL, "{" DNS "," BIP "," POOLS "}", "", NULL, .finding = "" },
    { "a larger MTU", jumbo, NULL, NULL, "", NULL, .finding = "" },
    { "the user's mtu by key", mtu1400, NULL, "{\"mtu\":1300}", "", "{\"mtu\":1300," OPTS "}", .finding = "" },
    { "the user's mtu by flag", mtu1400, "--mtu=1300", NULL, " --mtu=1300", FILE_OF(OPTS), .finding = "" },
    { "the user's options by key", mtu1400, NULL, "{\"default-network-opts\":{}}", "", "{\"default-network-opts\":{}," MTU "}", .finding = "", .box = old },
    { "the user's options by flag", mtu1400, "--default-network-opt=bridge=a=b", NULL, " --default-network-opt=bridge=a=b", FILE_OF(MTU), .finding = "", .box = unknown },
    { "mtu in both: dockerd refuses", mtu1400, "--mtu 9", "{\"mtu\":9}", " --mtu 9", "{\"mtu\":9," OPTS "}", .finding = "mtu is both in d.json and a flag" },
    /* as flags */
    { "off: flags", full, NULL, NULL, DNSF BIPF POOLSF, NULL, .finding = "", .mode = ENGINE_JSON_OFF },
    { "off: flags of all", all, NULL, NULL, DNSF BIPF POOLSF MTUF OPTSF, NULL, .finding = "", .mode = ENGINE_JSON_OFF },
    { "off: two resolvers are two flags", two_dns, NULL, NULL, DNSF " --dns=fd00::53", NULL, .finding = "", .mode = ENGINE_JSON_OFF },
    { "off: what the file has is no flag", full, NULL, "{" BIP "}", DNSF POOLSF, NULL, .finding = "", .mode = ENGINE_JSON_OFF },
    { "off and old", mtu1400, NULL, NULL, MTUF, NULL, .finding = "dockerd 20", .box = old, .mode = ENGINE_JSON_OFF },
    { "own: all anew", dns_only, NULL, "{\"dns\":[\"1.1.1.1\"],\"x\":1}", "", FILE_OF(DNS), .finding = "", .mode = ENGINE_JSON_OWN },
    { "own: but a flag wins", full, "--bip=172.30.0.1/24", "{\"bip\":\"1.2.3.4/8\"}", " --bip=172.30.0.1/24", FILE_OF(DNS L POOLS), .finding = "", .mode = ENGINE_JSON_OWN },
    { "own: nothing of ours", quiet, NULL, "{\"x\":1}", "", "{}\n", .finding = "", .mode = ENGINE_JSON_OWN },
    { "own: malformed does not matter", dns_only, NULL, "{", "", FILE_OF(DNS), .finding = "", .mode = ENGINE_JSON_OWN },
    { "read-only: elsewhere, with the user's", dns_only, NULL, "{\"debug\":true}", " --config-file=/run/pinnace/daemon.json", "{\"debug\":true," DNS "}", .finding = "", .box = read_only },
    { "read-only everywhere: flags", full, NULL, "{\"debug\":true}", DNSF BIPF POOLSF, NULL, .finding = "", .box = all_read_only },
    /* dns of the user */
    { "dns by key", full, NULL, "{\"dns\":[\"8.8.8.8\"]}", "", "{\"dns\":[\"8.8.8.8\"]," BIP "," POOLS "}", .finding = "" },
    { "dns by key: what it means", dns_only, NULL, "{\"dns\":[\"8.8.8.8\"]}", "", NULL, .finding = "dns is set in d.json: containers ask there, and not at 169.254.53.53" },
    { "dns by flag", dns_only, "--dns 8.8.8.8", NULL, " --dns 8.8.8.8", NULL, .finding = "dns is set as a flag" },
    { "dns in both: dockerd refuses", dns_only, "--dns=8.8.8.8", "{\"dns\":[\"1.1.1.1\"]}", " --dns=8.8.8.8", NULL, .finding = "dns is both in d.json and a flag" },
    { "dns on loopback by key", dns_only, NULL, "{\"dns\":[\"8.8.8.8\",\"127.0.0.53\"]}", "", NULL, .finding = "dns 127.0.0.53 in d.json is loopback" },
    { "dns on loopback by flag", dns_only, "--dns=1.1.1.1 --dns=::1", NULL, " --dns=1.1.1.1 --dns=::1", NULL, .finding = "dns ::1 as a flag is loopback" },
    { "an empty list is a choice", dns_only, NULL, "{\"dns\":[]}", "", NULL, .finding = "" },
    { "null is a choice", dns_only, NULL, "{\"dns\":null}", "", NULL, .finding = "" },
    { "a duplicate of the user's stays", dns_only, NULL, "{\"dns\":[],\"dns\":[\"8.8.8.8\"]}", "", NULL, .finding = "dns is set" },
    { "an escaped key is the key", dns_only, NULL, "{\"d\\u006es\":[\"8.8.8.8\"]}", "", NULL, .finding = "" },
    { "its options are another key", dns_only, NULL, "{\"dns-opts\":[\"ndots:1\"]}", "", "{\"dns-opts\":[\"ndots:1\"]," DNS "}", .finding = "" },
    { "a nested key is another one", dns_only, NULL, "{\"x\":{\"dns\":[]}}", "", "{\"x\":{\"dns\":[]}," DNS "}", .finding = "" },
    /* subnets of the user */
    { "bip by key", full, NULL, "{\"bip\":\"172.30.0.1/24\"}", "", "{\"bip\":\"172.30.0.1/24\"," DNS "," POOLS "}", .finding = "" },
    { "bip by flag", full, "--bip=172.30.0.1/24", NULL, " --bip=172.30.0.1/24", FILE_OF(DNS L POOLS), .finding = "" },
    { "bip in both: dockerd refuses", quiet, "--bip=172.30.0.1/24", "{\"bip\":\"172.30.0.1/24\"}", " --bip=172.30.0.1/24", NULL, .finding = "bip is both" },
    { "bip in one of our pools", full, NULL, "{\"bip\":\"172.20.9.1/24\"}", "", "{\"bip\":\"172.20.9.1/24\"," DNS ",\"default-address-pools\": [" POOL2 "]}", .finding = "" },
    { "bip over all of our pools", full, "--bip=172.16.0.1/12 --fixed-cidr=10.200.1.0/24", NULL, " --bip=172.16.0.1/12 --fixed-cidr=10.200.1.0/24", FILE_OF(DNS), .finding = "" },
    { "a bridge of the user's by letter", full, "-b br0", NULL, " -b br0", FILE_OF(DNS L POOLS), .finding = "" },
    { "no bridge at all by key", full, NULL, "{\"bridge\":\"none\"}", "", "{\"bridge\":\"none\"," DNS "," POOLS "}", .finding = "" },
    { "fixed-cidr without bip", full, NULL, "{\"fixed-cidr\":\"172.17.8.0/24\"}", "", "{\"fixed-cidr\":\"172.17.8.0/24\"," DNS "," POOLS "}", .finding = "" },
    { "pools by key", full, NULL, "{\"default-address-pools\":[{\"base\":\"172.30.0.0/16\",\"size\":24}]}", "", "{\"default-address-pools\":[{\"base\":\"172.30.0.0/16\",\"size\":24}]," DNS "," BIP "}", .finding = "" },
    { "pools by flag", full, "--default-address-pool base=172.30.0.0/16,size=24", NULL, " --default-address-pool base=172.30.0.0/16,size=24", FILE_OF(DNS L BIP), .finding = "" },
    { "a bip that is none", full, NULL, "{\"bip\":\"wrong\"}", "", "{\"bip\":\"wrong\"," DNS "," POOLS "}", .finding = "" },
    { "a bip without its length", quiet, NULL, "{\"bip\":\"10.87.0.9\"}", "", NULL, .finding = "" },
    /* rootlesskit's network namespace: its own resolver, and nothing of the box's to lose */
    { "rootless: subnets, no resolver", full, NULL, NULL, "", FILE_OF(BIP L POOLS), .finding = "", .box = rootless },
    { "rootless: a clash hides hosts", quiet, NULL, "{\"bip\":\"10.87.0.1/16\"}", "", NULL, .finding = "which containers then do not reach", .box = rootless },
    /* clashes that are not fatal */
    { "a pool over the uplink by key", quiet, NULL, "{\"default-address-pools\":[{\"size\":24,\"Base\":\"10.0.0.0/8\"}]}", "", NULL, .finding = "default-address-pools 10.0.0.0/8 in d.json covers eth0's network 10.87.0.0/16: dockerd takes no network" },
    { "a pool over the uplink by flag", quiet, "--default-address-pool=SIZE=24,Base=10.87.3.0/24", NULL, " --default-address-pool=SIZE=24,Base=10.87.3.0/24", NULL, .finding = "default-address-pools 10.87.3.0/24 as a flag lies in eth0's network" },
    { "a clash that is made good by key", repaired, NULL, "{\"bip\":\"10.87.0.1/16\"}", "", NULL, .finding = "bip 10.87.0.1/16 in d.json covers eth0's network 10.87.0.0/16, which pinnace makes good" },
    { "a clash that is made good by flag", repaired, "--fixed-cidr=10.87.1.0/24", NULL, " --fixed-cidr=10.87.1.0/24", NULL, .finding = "fixed-cidr 10.87.1.0/24 as a flag lies in eth0's network 10.87.0.0/16, which" },
    { "containers are kept off what is needed", crowded, NULL, "{\"bip\":\"10.87.0.1/17\"}", "", "{\"bip\":\"10.87.0.1/17\",\"fixed-cidr\": \"10.87.64.0/18\"}", .finding = "bip 10.87.0.1/17" },
    { "in the largest part that is free", crowded, NULL, "{\"bip\":\"10.87.0.1/16\"}", "", "{\"bip\":\"10.87.0.1/16\",\"fixed-cidr\": \"10.87.128.0/18\"}", .finding = "bip 10.87.0.1/16" },
    { "of a bip by flag", crowded, "--bip=10.87.128.1/17", NULL, " --bip=10.87.128.1/17", FILE_OF("\"fixed-cidr\": \"10.87.128.0/18\""), .finding = "bip 10.87.128.1/17" },
    { "however small", full_up, NULL, "{\"bip\":\"10.87.0.1/16\"}", "", "{\"bip\":\"10.87.0.1/16\",\"fixed-cidr\": \"10.87.248.0/21\"}", .finding = "bip 10.87.0.1/16" },
    { "unless there is none", crowded, NULL, "{\"bip\":\"10.87.0.5/30\"}", "", NULL, .finding = "bip 10.87.0.5/30" },
    { "or the user says where", crowded, NULL, "{\"bip\":\"10.87.0.1/16\",\"fixed-cidr\":\"10.87.0.0/24\"}", "", NULL, .finding = "bip 10.87.0.1/16" },
    { "near, but no clash", quiet, NULL, "{\"bip\":\"10.88.0.1/16\",\"fixed-cidr\":\"10.86.255.0/24\"}", "", NULL, .finding = "" },
    /* the file as a whole */
    { "unknown keys and numbers stay", dns_only, NULL, "{\n  \"x\" : 1.50e+01 ,\n  \"y\":18446744073709551616\n}", "", "{\n  \"x\" : 1.50e+01 ,\n  \"y\":18446744073709551616,\n  " DNS "\n}", .finding = "" },
    { "nested objects stay", dns_only, NULL, "{\n\t\"log-opts\": { \"max-size\": \"1m\", \"a\": [ {} ] }\n}", "", "{\n\t\"log-opts\": { \"max-size\": \"1m\", \"a\": [ {} ] },\n\t" DNS "\n}", .finding = "" },
    { "space behind it stays", dns_only, NULL, "{\"a\":1}  \n\n\t", "", "{\"a\":1," DNS "}  \n\n\t", .finding = "" },
    { "DOS lines stay", dns_only, NULL, "{\r\n  \"a\": 1\r\n}\r\n", "", "{\r\n  \"a\": 1,\r\n  " DNS "\r\n}\r\n", .finding = "" },
    { "hosts stay", dns_only, NULL, "{\"hosts\":[\"unix:///var/run/docker.sock\"]}", "", "{\"hosts\":[\"unix:///var/run/docker.sock\"]," DNS "}", .finding = "" },
    { "hosts as flags", dns_only, "-H unix:///var/run/docker.sock", NULL, " -H unix:///var/run/docker.sock", FILE_OF(DNS), .finding = "" },
    { "hosts in both: dockerd refuses", dns_only, "-H unix:///a", "{\"hosts\":[\"unix:///a\"]}", " -H unix:///a", "{\"hosts\":[\"unix:///a\"]," DNS "}", .finding = "hosts is both" },
    { "malformed: left alone", full, NULL, "{\n  \"dns\": [,\n}", "", NULL, .finding = "d.json:2:11: " },
    { "malformed: and no flags", full, NULL, "{", "", NULL, .finding = "dns=[\"169.254.53.53\"] cannot be set: daemon.json is not understood" },
    { "a comment: left alone", full, NULL, "{\n  // no\n}", "", NULL, .finding = "d.json:2:3: " },
    { "UTF-16: left alone", full, NULL, "\xff\xfe{", "", NULL, .finding = "is UTF-16" },
    { "as long as can be", widest, NULL, NULL, "", FILE_OF("\"default-address-pools\": [" WIDE "," WIDE "," WIDE "," WIDE "]"), .finding = "" },
    { "as long as can be, as flags", widest, NULL, NULL, WIDEF WIDEF WIDEF WIDEF, NULL, .finding = "", .mode = ENGINE_JSON_OFF },
};

static const struct {
    const char *what;
    const char *flags, *json, *text;
    enum engine_json mode;
} fatal[] = {
    { "bip by key", NULL, "{\"bip\":\"10.87.0.1/16\"}", .text = "bip 10.87.0.1/16 in d.json covers eth0's network 10.87.0.0/16: the box would lose it; choose another subnet for \"bip\"" },
    { "bip by flag", "--bip 10.87.0.1/16", NULL, .text = "bip 10.87.0.1/16 as a flag covers eth0's network 10.87.0.0/16: the box would lose it; choose another subnet for --bip" },
    { "bip inside of it", "--bip=10.87.4.1/24", NULL, .text = "bip 10.87.4.1/24 as a flag lies in eth0's network" },
    { "bip over the resolver", NULL, "{\"bip\":\"192.168.1.254/24\"}", .text = "covers the resolver 192.168.1.1/32" },
    { "fixed-cidr", NULL, "{\"fixed-cidr\":\"10.87.4.0/24\"}", .text = "fixed-cidr 10.87.4.0/24 in d.json lies in" },
    { "fixed-cidr-v6", "--fixed-cidr-v6=fd00::/16", NULL, .text = "covers eth0's network fd00:87::/64" },
    { "bip6", NULL, "{\"bip6\":\"fd00:87::1/64\"}", .text = "choose another subnet for \"bip6\"" },
    { "the last duplicate counts", NULL, "{\"bip\":\"172.30.0.1/24\",\"bip\":\"10.87.0.1/16\"}", .text = "bip 10.87.0.1/16" },
    { "also without the file", "--bip=10.87.0.1/16", "{", .text = "as a flag", .mode = ENGINE_JSON_OFF },
    { "the file counts when it is not to be written", NULL, "{\"bip\":\"10.87.0.1/16\"}", .text = "in d.json", .mode = ENGINE_JSON_OFF },
};
/* clang-format on */

static struct engine_plan plan; /* large: not for the stack of a sanitizer's build */

static int make_plan(const struct row *r, struct err *e) {
    static struct engine_network n;
    struct engine_facts f = { .caps = UINT64_MAX,
                              .userns_initial = true,
                              .dockerd = true,
                              .dockerd_major = 28,
                              .iptables = true,
                              .cgroup = CGROUP_UNIFIED,
                              .cgroup_writable = true,
                              .cgroup_own_root = true,
                              .nf_tables = NFT_USABLE,
                              .overlay = OVERLAY_WORKS,
                              .json_writable = true,
                              .run_writable = true,
                              .json_path = "d.json" };
    char driver[] = "auto", *autos[] = { driver, NULL }, **flags;
    size_t nflags;
    (void)split_words(r->flags ? r->flags : "", &flags, &nflags, e);
    struct engine_conf conf = {
        .command = autos, .flags = flags, .storage_driver = driver, .daemon_json = r->mode
    };
    memset(&n, 0, sizeof n);
    if (r->net)
        r->net(&n);
    if (r->box)
        r->box(&f);
    struct json_text text = { r->json ? r->json : "", r->json ? strlen(r->json) : 0 };
    int rc = engine_plan(&plan, &conf, &f, r->net ? &n : NULL, text, e);
    free(flags);
    return rc;
}

static const char *words_behind_dockerd(char *buf, size_t cap) {
    struct text t = { .buf = buf, .cap = cap };
    buf[0] = '\0';
    size_t at = strlen(plan.words) + 1;
    for (size_t i = 1; i < plan.nwords; i++, at += strlen(plan.words + at) + 1)
        text_add(&t, " %s", plan.words + at);
    return buf;
}

static bool found(const char *text) {
    bool serious = false, hit = false;
    for (size_t i = 0; i < plan.nfindings; i++) {
        serious |= plan.findings[i].level <= LOG_WARN;
        hit |= *text && strstr(plan.findings[i].text, text);
    }
    return *text ? hit : !serious;
}

/* The text that the plan's file gets; freed by the caller. NULL: none is written. */
static char *written(const struct row *r, char diff[MAX_JSON_DIFF]) {
    struct json_want wants[MAX_ENGINE_SETTINGS + 1] = { 0 };
    struct json_merged m;
    const char *base = plan.json_from_scratch || !r->json ? "" : r->json;
    for (size_t i = 0; i < plan.nsettings; i++)
        wants[i] = (struct json_want){ plan.settings[i].key, plan.settings[i].json };
    int rc = daemon_json_merge(&m, "d", (struct json_text){ base, strlen(base) }, wants, NULL);
    (void)memcpy(diff, m.diff, sizeof m.diff);
    if (!plan.json_write[0] || rc < 0)
        return NULL;
    return rc == 1 ? m.text : strdup(*base ? base : "{}\n");
}

static void check_row(const struct row *r) {
    char words[1024], diff[MAX_JSON_DIFF];
    struct err e = { 0 };
    int rc = make_plan(r, &e);
    OK(rc == 0 && strcmp(words_behind_dockerd(words, sizeof words), r->words) == 0, "%s: dockerd%s",
       r->what, words);
    char *file = written(r, diff);
    bool same = r->file && file ? strcmp(r->file, file) == 0 : r->file == file;
    OK(same, "  writes %s", file ? diff : "nothing");
    if (!same)
        printf("# <%s>\n", file ? file : "(nothing)");
    OK(found(r->finding), "  finds '%s'", r->finding);
    for (size_t i = 0; !found(r->finding) && i < plan.nfindings; i++)
        printf("#   %d %s\n", (int)plan.findings[i].level, plan.findings[i].text);
    free(file);
}

static void check_fatal(size_t i) {
    struct row r = {
        .net = quiet, .flags = fatal[i].flags, .json = fatal[i].json, .mode = fatal[i].mode
    };
    struct err e = { 0 };
    int rc = make_plan(&r, &e);
    OK(rc == -EADDRINUSE && e.code == EADDRINUSE && strstr(e.text, fatal[i].text),
       "refused, %s: %s", fatal[i].what, e.text);
    r.net = NULL;
    OK(make_plan(&r, &e) == 0, "  but not where no network is known");
}

static void asks_version(void) {
    static const struct {
        uint32_t mtu;
        bool asks;
    } rows_of[] = { { 0, false }, { 1, true }, { 1499, true }, { 1500, false }, { 9000, false } };
    for (size_t i = 0; i < sizeof rows_of / sizeof *rows_of; i++) {
        struct engine_network n = { .mtu = rows_of[i].mtu };
        OK(engine_plan_asks_version(&n) == rows_of[i].asks, "MTU %u: the version %s",
           rows_of[i].mtu, rows_of[i].asks ? "is asked for" : "does not matter");
    }
    OK(!engine_plan_asks_version(NULL), "nor does it without a network");
}

static void says_what_is_left_out(void) {
    struct text t = { .cap = 8192, .buf = malloc(8192) };
    struct engine_subnets found_ones;
    struct engine_conf conf = { .command = (char *[]){ NULL } };
    text_add(&t, "{\"ipv6\":true,\"default-address-pools\":[5,{},{\"base\":7},\"x\"");
    for (int i = 0; i < MAX_SUBNETS; i++)
        text_add(&t, ",{\"base\":\"10.%d.0.0/16\",\"size\":24}", i);
    text_add(&t, "]}");
    engine_read_subnets(&found_ones, &conf, (struct json_text){ t.buf, t.len });
    OK(found_ones.n == MAX_SUBNETS - 4 && found_ones.more && found_ones.ipv6,
       "the first %d of a list are looked at, the malformed left out (%zu)", MAX_SUBNETS,
       found_ones.n);
    struct row r = { .net = quiet, .json = t.buf };
    struct err e;
    OK(make_plan(&r, &e) == 0 && found("later ones are not looked at"), "and the plan says so");
    free(t.buf);
}

static void reads_subnets(void) {
    char a[PREFIX_TEXT];
    char *flags[] = { (char *)(size_t) "--default-address-pool=size=24,base=172.30.0.0/16",
                      (char *)(size_t) "--default-address-pool=base=,size=24",
                      (char *)(size_t) "--default-address-pool",
                      (char *)(size_t) "--bip=10.0.0.1/24",
                      (char *)(size_t) "--fixed-cidr-v6=fd00::/80",
                      (char *)(size_t) "--ipv6=false",
                      NULL };
    struct engine_conf conf = { .command = (char *[]){ NULL }, .flags = flags };
    struct engine_subnets s;
    static const char json[] =
        "{\"fixed-cidr\":\"10.0.0.0/25\",\"bip\":\"10.1.0.1/24\",\"ipv6\":true}";
    engine_read_subnets(&s, &conf, (struct json_text){ json, sizeof json - 1 });
    OK(s.n == 5 && !s.more, "flags and file: %zu subnets", s.n);
    OK(strcmp(s.v[0].key, "bip") == 0 && s.v[0].flag &&
           strcmp(prefix_text(&s.v[0].p, a), "10.0.0.1/24") == 0,
       "bip as a flag: %s", a);
    OK(strcmp(s.v[2].key, "default-address-pools") == 0 &&
           strcmp(prefix_text(&s.v[2].p, a), "172.30.0.0/16") == 0,
       "a pool as a flag: %s", a);
    OK(!s.v[3].flag && strcmp(prefix_text(&s.v[3].p, a), "10.1.0.1/24") == 0, "bip by key: %s", a);
    OK(s.ipv6, "fixed-cidr-v6 is IPv6, whatever ipv6 says");
    conf.daemon_json = ENGINE_JSON_OWN;
    engine_read_subnets(&s, &conf, (struct json_text){ json, sizeof json - 1 });
    OK(s.n == 3, "own: the file does not count");
}

int main(void) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i]);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        check_fatal(i);
    asks_version();
    reads_subnets();
    says_what_is_left_out();
    return tap_end();
}
