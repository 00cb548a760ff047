/* engine_prepare as a whole, in a mount namespace with an /etc/docker and a /run of our
 * own and a dockerd that is never run. Needs root.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/str.h"
#include "engine/prepare.h"
#include "sys/file.h"
#include "tests/unit/tap.h"

#define JSON   "/etc/docker/daemon.json"
#define RECORD JSON ".before-pinnace"
#define RUN    "/run/pinnace/daemon.json"
#define NAT    "\n    \"iptables\": false,\n    \"ip6tables\": false\n}"

static char dir[] = "/tmp/t_engine_prepare-XXXXXX";
static struct engine_result result;
static char words[512];

static bool holds(const char *path, const char *text) {
    char buf[512];
    file_peek(path, buf, sizeof buf);
    if (strcmp(buf, text) != 0)
        printf("# %s holds <%s>\n", path, buf);
    return strcmp(buf, text) == 0;
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (f) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static struct engine_network around; /* what the network around the box asks for */
static struct err why;

struct boot {
    const struct engine_network *net;
    enum engine_json mode;
    bool nat; /* off: our keys are wanted; else nothing but what the network asks for */
    const char *flags;
};

static int boot(const struct boot *b) {
    struct err e = { 0 };
    char **command, **flags;
    size_t n;
    (void)split_words("auto", &command, &n, &e);
    (void)split_words(b->flags ? b->flags : "--log-level=warn", &flags, &n, &e);
    char driver[] = "auto";
    struct engine_conf conf = { .command = command,
                                .flags = flags,
                                .storage_driver = driver,
                                .daemon_json = b->mode,
                                .iptables = b->nat ? ENGINE_IPTABLES_ON : ENGINE_IPTABLES_AUTO,
                                .cgroup = ENGINE_CGROUP_OFF };
    int rc = engine_prepare(&conf, b->net, getpid(), &result, &e);
    why = e;
    free(command);
    free(flags);
    struct text t = TEXT(words);
    words[0] = '\0';
    for (size_t at = 0, i = 0; i < result.nwords; i++, at += strlen(result.words + at) + 1)
        text_add(&t, "%s%s", i ? " " : "", result.words + at);
    return rc;
}

static int prepare(enum engine_json mode) {
    struct boot b = { .mode = mode };
    return boot(&b);
}

/* A fresh /etc/docker and /run; `options` of the tmpfs on the first. */
static bool fresh(const char *options) {
    (void)umount2("/etc/docker", MNT_DETACH);
    (void)umount2("/run", MNT_DETACH);
    return mount("tmpfs", "/etc/docker", "tmpfs", 0, options) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0;
}

static bool set_up(void) {
    char path[128];
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(dir))
        return false;
    /* A tmpfs over /etc gives /etc/docker even where the machine has none. */
    if (mount("tmpfs", "/etc", "tmpfs", 0, NULL) < 0 || mkdir("/etc/docker", 0755) < 0)
        return false;
    (void)snprintf(path, sizeof path, "%s/dockerd", dir);
    put(path, "#!/bin/sh\n");
    (void)chmod(path, 0755);
    (void)setenv("PATH", dir, 1); /* no iptables there: the reason for our keys */
    return fresh(NULL);
}

static void writes_the_file(void) {
    OK(prepare(ENGINE_JSON_MERGE) == 0 && strcmp(words, "dockerd --log-level=warn") == 0,
       "no daemon.json: %s", words);
    OK(holds(JSON, "{" NAT "\n"), "it is made");
    OK(strcmp(result.socket, "/var/run/docker.sock") == 0 && !result.cgroup_leaf, "socket");
    struct stat before, after;
    (void)stat(JSON, &before);
    OK(prepare(ENGINE_JSON_MERGE) == 0 && stat(JSON, &after) == 0 && before.st_ino == after.st_ino,
       "a second time nothing is written");
    put(JSON, "{\"debug\":true}");
    (void)chmod(JSON, 0600);
    OK(prepare(ENGINE_JSON_MERGE) == 0 &&
           holds(JSON, "{\"debug\":true,\"iptables\": false,\"ip6tables\": false}"),
       "merged into the user's");
    OK(stat(JSON, &after) == 0 && (after.st_mode & 0777) == 0600, "whose mode stays");
    OK(prepare(ENGINE_JSON_OWN) == 0 && holds(JSON, "{" NAT "\n"), "own: written anew");
}

static void leaves_it_alone(void) {
    put(JSON, "{\"debug\":}");
    OK(prepare(ENGINE_JSON_MERGE) == 0 && holds(JSON, "{\"debug\":}"), "malformed: not touched");
    OK(strcmp(words, "dockerd --log-level=warn") == 0, "and no flags of ours: %s", words);
    (void)unlink(JSON);
    OK(prepare(ENGINE_JSON_OFF) == 0 && access(JSON, F_OK) < 0 &&
           strcmp(words, "dockerd --log-level=warn --iptables=false --ip6tables=false") == 0,
       "off: %s", words);
}

static void goes_elsewhere(void) {
    static const char moved[] = "dockerd --log-level=warn --config-file=" RUN;
    put(JSON, "{\"debug\":true}");
    (void)mount(NULL, "/etc/docker", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    OK(prepare(ENGINE_JSON_MERGE) == 0 && strcmp(words, moved) == 0, "read-only: %s", words);
    OK(holds(RUN, "{\"debug\":true,\"iptables\": false,\"ip6tables\": false}") &&
           holds(JSON, "{\"debug\":true}"),
       "with what the user wrote");
    OK(fresh("nr_inodes=1") && prepare(ENGINE_JSON_MERGE) == 0 && strcmp(words, moved) == 0,
       "no room for it, seen only when writing: %s", words);
    OK(holds(RUN, "{" NAT "\n"), "and written there");
    (void)mount(NULL, "/run", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    OK(prepare(ENGINE_JSON_MERGE) == 0 && holds(RUN, "{" NAT "\n") &&
           strcmp(words, "dockerd --log-level=warn --iptables=false --ip6tables=false") == 0,
       "no room anywhere: %s", words);
    (void)mount(NULL, "/run", NULL, MS_REMOUNT, NULL);
}

static bool only_entry(const char *path, const char *name) {
    int others = 0;
    DIR *d = opendir(path);
    for (struct dirent *ent; d && (ent = readdir(d));)
        others += ent->d_name[0] != '.' && strcmp(ent->d_name, name) != 0;
    if (d)
        (void)closedir(d);
    return d && others == 0;
}

static void writes_into_a_mount(void) {
    char path[128];
    struct stat before, after;
    (void)snprintf(path, sizeof path, "%s/mounted.json", dir);
    put(path, "{ \"a-key-with-a-long-name\": 1 }");
    OK(fresh(NULL), "a daemon.json that is a mount of its own");
    put(JSON, "");
    OK(mount(path, JSON, NULL, MS_BIND, NULL) == 0 && stat(JSON, &before) == 0, "  is there");
    OK(prepare(ENGINE_JSON_MERGE) == 0 && stat(JSON, &after) == 0 && after.st_ino == before.st_ino,
       "is written in place");
    OK(holds(path, "{ \"a-key-with-a-long-name\": 1, \"iptables\": false, \"ip6tables\": false }"),
       "and whole");
    OK(prepare(ENGINE_JSON_OWN) == 0 && holds(path, "{" NAT "\n"), "also when it gets shorter");
    (void)unlink(RECORD);
    OK(only_entry("/etc/docker", "daemon.json"), "no temporary file stays");
    (void)unlink(path);
}

#define DNS_A "{\"debug\":true,\"dns\": [\"169.254.53.53\"],\"bip\": \"172.18.0.1/16\"}"
#define DNS_B "{\"debug\":true,\"dns\": [\"169.254.53.53\"],\"bip\": \"172.31.0.1/16\"}"
#define USER  "{\"debug\":true}"

static int merge_boot(const char *bip) {
    struct boot b = { .net = &around, .nat = true };
    memset(&around, 0, sizeof around);
    (void)ip_parse("169.254.53.53", &around.dns[0]);
    (void)prefix_parse(bip, &around.bip);
    return boot(&b);
}

static ino_t inode(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void boots_again(void) {
    OK(fresh(NULL), "a new box");
    put(JSON, USER);
    OK(merge_boot("172.18.0.1/16") == 0 && holds(JSON, DNS_A), "the network's keys are merged");
    ino_t file = inode(JSON), record = inode(RECORD);
    OK(merge_boot("172.18.0.1/16") == 0 && holds(JSON, DNS_A) && file == inode(JSON) &&
           record == inode(RECORD) && record,
       "a second boot writes neither file");
    OK(merge_boot("172.31.0.1/16") == 0 && holds(JSON, DNS_B), "another network, another bip");
    OK(strcmp(words, "dockerd --log-level=warn") == 0, "and no flags: %s", words);
    struct boot quiet = { .nat = true };
    OK(boot(&quiet) == 0 && holds(JSON, USER) && access(RECORD, F_OK) < 0,
       "nothing wanted any more: the user's text again");
    (void)unlink(JSON);
    OK(merge_boot("172.18.0.1/16") == 0 && access(JSON, F_OK) == 0, "without a file it is made");
    OK(boot(&quiet) == 0 && access(JSON, F_OK) < 0 && access(RECORD, F_OK) < 0,
       "nothing wanted any more: no file again");
}

static void counts_edits_as_the_users(void) {
    static const char edited[] =
        "{\"debug\":false,\"dns\": [\"8.8.8.8\"],\"bip\": \"172.18.0.1/16\"}";
    struct boot quiet = { .nat = true };
    put(JSON, USER);
    OK(merge_boot("172.18.0.1/16") == 0 && holds(JSON, DNS_A), "merged");
    put(JSON, edited);
    OK(merge_boot("172.31.0.1/16") == 0 && holds(JSON, edited), "edited: all of it is the user's");
    OK(boot(&quiet) == 0 && holds(JSON, edited), "and stays");
    (void)unlink(RECORD);
}

static void finds_subnets(void) {
    char driver[] = "auto", *autos[] = { driver, NULL };
    struct engine_conf conf = { .command = autos, .storage_driver = driver };
    struct engine_subnets s;
    put(JSON, "{\"fixed-cidr\":\"172.18.4.0/24\"}");
    struct boot b = { .net = &around, .nat = true };
    memset(&around, 0, sizeof around);
    (void)prefix_parse("172.20.0.0/16", &around.pools[0].base);
    around.pools[0].size = 24;
    around.npools = 1;
    OK(boot(&b) == 0 && access(RECORD, F_OK) == 0, "pools are merged");
    engine_find_subnets(&conf, &s);
    OK(s.n == 1 && strcmp(s.v[0].key, "fixed-cidr") == 0 && !s.ipv6,
       "the user's subnets are found, ours are not among them (%zu)", s.n);
    OK(s.rootless == (geteuid() != 0), "and whose network namespace they are in");
    (void)unlink(RECORD);
    engine_find_subnets(&conf, &s);
    OK(s.n == 2, "without the record they would be");
    put(JSON, "{");
    engine_find_subnets(&conf, &s);
    OK(s.n == 0, "a malformed file has none");
    (void)unlink(JSON);
    engine_find_subnets(&conf, &s);
    OK(s.n == 0, "nor has a missing one");
}

/* Our keys of an earlier boot, in a file that cannot be written now. */
static void meets_its_own_keys(void) {
    OK(fresh(NULL), "a new box");
    put(JSON, USER);
    OK(merge_boot("172.18.0.1/16") == 0 && holds(JSON, DNS_A), "merged");
    (void)mount(NULL, "/etc/docker", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    OK(merge_boot("172.31.0.1/16") == 0 && holds(RUN, DNS_B) && holds(JSON, DNS_A),
       "read-only by now: the user's text with what holds now, elsewhere: %s", words);
    (void)mount(NULL, "/run", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    OK(merge_boot("172.31.0.1/16") == 0 && strcmp(words, "dockerd --log-level=warn") == 0,
       "no room anywhere: no flag for what the file has: %s", words);
    (void)mount(NULL, "/run", NULL, MS_REMOUNT, NULL);
    (void)mount(NULL, "/etc/docker", NULL, MS_REMOUNT, NULL);
    struct boot off = { .net = &around, .nat = true, .mode = ENGINE_JSON_OFF };
    OK(boot(&off) == 0 && holds(JSON, USER) && access(RECORD, F_OK) < 0 &&
           strcmp(words, "dockerd --log-level=warn --dns=169.254.53.53 --bip=172.31.0.1/16") == 0,
       "off: the file is the user's again, ours are flags: %s", words);
    struct boot own = { .net = &around, .nat = true, .mode = ENGINE_JSON_OWN };
    OK(boot(&own) == 0 && access(RECORD, F_OK) < 0, "own: no record");
}

static void refuses_a_clash(void) {
    put(JSON, "{\"bip\":\"10.87.0.1/16\"}");
    struct boot b = { .net = &around };
    memset(&around, 0, sizeof around);
    around.ntaken = 1;
    (void)prefix_parse("10.87.0.0/16", &around.taken[0].p);
    (void)snprintf(around.taken[0].what, sizeof around.taken[0].what, "eth0's network");
    OK(boot(&b) == -EADDRINUSE && result.nwords == 0, "a clash is refused: %s", why.text);
    OK(holds(JSON, "{\"bip\":\"10.87.0.1/16\"}") && access(RECORD, F_OK) < 0,
       "and nothing was written");
    around.clash_is_repaired = true;
    OK(boot(&b) == 0 && result.nwords > 0, "one that is made good is not");
    (void)unlink(RECORD);
}

static void asks_the_version(void) {
    static const struct {
        const char *script, *json;
    } engines[] = {
        { "#!/bin/sh\necho Docker version 20.10.24+dfsg1, build 5d6db84\n",
          "{\n    \"mtu\": 1400\n}\n" },
        { "#!/bin/sh\n[ $1 = --version ] && echo Docker version 28.0.1, build x\n",
          "{\n    \"mtu\": 1400,\n    \"default-network-opts\": "
          "{\"bridge\":{\"com.docker.network.driver.mtu\":\"1400\"}}\n}\n" },
        { "#!/bin/sh\nexit 1\n", "{\n    \"mtu\": 1400\n}\n" },
    };
    struct boot b = { .net = &around, .nat = true };
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dockerd", dir);
    memset(&around, 0, sizeof around);
    around.mtu = 1400;
    OK(fresh(NULL), "a new box");
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        put(path, engines[i].script);
        OK(boot(&b) == 0 && holds(JSON, engines[i].json), "engine %zu: an MTU as it knows it", i);
    }
    put(path, "#!/bin/sh\n");
}

static void clears_up(void) {
    put("/run/docker.pid", "1");
    OK(prepare(ENGINE_JSON_OFF) == 0 && access("/run/docker.pid", F_OK) < 0,
       "a stale pid file is gone");
    (void)setenv("PATH", "/nowhere", 1);
    OK(prepare(ENGINE_JSON_OFF) == -ENOENT && result.nwords == 0, "no dockerd: refused");
}

int main(void) {
    if (!set_up()) {
        OK(true, "preparing an engine # SKIP needs root");
        return tap_end();
    }
    writes_the_file();
    leaves_it_alone();
    goes_elsewhere();
    writes_into_a_mount();
    boots_again();
    counts_edits_as_the_users();
    finds_subnets();
    meets_its_own_keys();
    refuses_a_clash();
    asks_the_version();
    clears_up();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dockerd", dir);
    OK(unlink(path) == 0 && rmdir(dir) == 0, "nothing else is left");
    return tap_end();
}
