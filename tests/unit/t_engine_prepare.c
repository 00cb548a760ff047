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

#define JSON "/etc/docker/daemon.json"
#define RUN  "/run/pinnace/daemon.json"
#define NAT  "\n    \"iptables\": false,\n    \"ip6tables\": false\n}"

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

static int prepare(enum engine_json mode) {
    struct err e = { 0 };
    char **command, **flags;
    size_t n;
    (void)split_words("auto", &command, &n, &e);
    (void)split_words("--log-level=warn", &flags, &n, &e);
    char driver[] = "auto";
    struct engine_conf conf = { .command = command,
                                .flags = flags,
                                .storage_driver = driver,
                                .daemon_json = mode,
                                .cgroup = ENGINE_CGROUP_OFF };
    int rc = engine_prepare(&conf, NULL, getpid(), &result, &e);
    free(command);
    free(flags);
    struct text t = TEXT(words);
    words[0] = '\0';
    for (size_t at = 0, i = 0; i < result.nwords; i++, at += strlen(result.words + at) + 1)
        text_add(&t, "%s%s", i ? " " : "", result.words + at);
    return rc;
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
    OK(only_entry("/etc/docker", "daemon.json"), "no temporary file stays");
    (void)unlink(path);
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
    clears_up();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dockerd", dir);
    OK(unlink(path) == 0 && rmdir(dir) == 0, "nothing else is left");
    return tap_end();
}
