/* daemon.json: what is read from it, and what a merge makes of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "engine/daemon_json.h"
#include "tests/unit/tap.h"

static const struct json_want vfs[] = { { "storage-driver", "\"vfs\"" }, { NULL, NULL } };
static const struct json_want nat[] = { { "iptables", "false" },
                                        { "ip6tables", "false" },
                                        { NULL, NULL } };
static const struct json_want none[] = { { NULL, NULL } };

/* clang-format off */
static const struct {
    const char *what, *in;
    const struct json_want *wants;
    const char *out; /* NULL: nothing changes */
    const char *diff;
} merges[] = {
    { "no text", "", vfs, "{\n    \"storage-driver\": \"vfs\"\n}\n", "+ storage-driver: \"vfs\"" },
    { "only space", " \n\t\r\n", vfs, "{\n    \"storage-driver\": \"vfs\"\n}\n", "+ storage-driver: \"vfs\"" },
    { "only a byte order mark", "\xef\xbb\xbf", vfs, "{\n    \"storage-driver\": \"vfs\"\n}\n", "+ storage-driver: \"vfs\"" },
    { "empty object", "{}", vfs, "{\n    \"storage-driver\": \"vfs\"\n}", "+ storage-driver: \"vfs\"" },
    { "empty object with space", "{ }\n", vfs, "{\n    \"storage-driver\": \"vfs\"\n }\n", "+ storage-driver: \"vfs\"" },
    { "empty object on two lines", "{\n}\n", nat, "{\n    \"iptables\": false,\n    \"ip6tables\": false\n}\n", "+ iptables: false, + ip6tables: false" },
    { "compact", "{\"debug\":true}", vfs, "{\"debug\":true,\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "one line", "{ \"debug\": true }\n", vfs, "{ \"debug\": true, \"storage-driver\": \"vfs\" }\n", "+ storage-driver: \"vfs\"" },
    { "two spaces", "{\n  \"debug\": true\n}\n", vfs, "{\n  \"debug\": true,\n  \"storage-driver\": \"vfs\"\n}\n", "+ storage-driver: \"vfs\"" },
    { "tabs", "{\n\t\"debug\": true\n}", vfs, "{\n\t\"debug\": true,\n\t\"storage-driver\": \"vfs\"\n}", "+ storage-driver: \"vfs\"" },
    { "DOS lines", "{\r\n  \"debug\": true\r\n}\r\n", vfs, "{\r\n  \"debug\": true,\r\n  \"storage-driver\": \"vfs\"\r\n}\r\n", "+ storage-driver: \"vfs\"" },
    { "a mark in front", "\xef\xbb\xbf{\"a\":1}", vfs, "\xef\xbb\xbf{\"a\":1,\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "same key, same value", "{\"storage-driver\":\"vfs\"}", vfs, NULL, "" },
    { "same key, other value", "{ \"storage-driver\" : \"zfs\" }", vfs, NULL, "" },
    { "same key, null", "{\"storage-driver\":null}", vfs, NULL, "" },
    { "same key, escaped", "{\"\\u0073torage-driver\":\"zfs\"}", vfs, NULL, "" },
    { "one of two is there", "{\"iptables\":true}", nat, "{\"iptables\":true,\"ip6tables\": false}", "+ ip6tables: false" },
    { "another case is another key", "{\"Iptables\":1,\"ip6tables\":1}", nat, "{\"Iptables\":1,\"ip6tables\":1,\"iptables\": false}", "+ iptables: false" },
    { "a nested key does not count", "{\"x\":{\"iptables\":1,\"ip6tables\":2}}", nat, "{\"x\":{\"iptables\":1,\"ip6tables\":2},\"iptables\": false,\"ip6tables\": false}", "+ iptables: false, + ip6tables: false" },
    { "unknown keys and odd numbers stay", "{\n    \"x\": 1.50e+01,\n    \"y\": 18446744073709551616\n}", vfs, "{\n    \"x\": 1.50e+01,\n    \"y\": 18446744073709551616,\n    \"storage-driver\": \"vfs\"\n}", "+ storage-driver: \"vfs\"" },
    { "braces in strings", "{\"a\":\"}{\"}", vfs, "{\"a\":\"}{\",\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "object last", "{\"a\":{}}", vfs, "{\"a\":{},\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "duplicates of the user's", "{\"a\":1,\"a\":2}", vfs, "{\"a\":1,\"a\":2,\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "text beyond ASCII", "{\"l\":\"\xc3\xa4\"}", vfs, "{\"l\":\"\xc3\xa4\",\"storage-driver\": \"vfs\"}", "+ storage-driver: \"vfs\"" },
    { "nothing wanted", "{\"a\":1}", none, NULL, "" },
    { "nothing wanted of no text", "", none, NULL, "" },
};

static const struct {
    const char *what, *in;
    int code;
    const char *text;
} refusals[] = {
    { "not JSON", "hello", -EINVAL, "d.json:1:1: " },
    { "a trailing comma", "{\n  \"a\": 1,\n}\n", -EINVAL, "d.json:2:9: " },
    { "a missing comma", "{\n  \"a\": 1\n  \"b\": 2\n}", -EINVAL, "d.json:3:3: " },
    { "a comment", "{\n  // no\n}", -EINVAL, "d.json:2:3: " },
    { "cut off", "{\"a\":", -EINVAL, "d.json:1:" },
    { "more behind the object", "{} {}", -EINVAL, "d.json:1:4: " },
    { "a list", "[1]", -EINVAL, "d.json:1:1: is not a JSON object" },
    { "null", "null", -EINVAL, "d.json:1:1: is not a JSON object" },
    { "columns behind a mark", "\xef\xbb\xbf{x}", -EINVAL, "d.json:1:2: " },
    { "single quotes", "{'a':1}", -EINVAL, "d.json:1:2: " },
    { "an unclosed string", "{\"a\n", -EINVAL, "d.json:1:" },
    { "UTF-16", "\xff\xfe{\0}\0", -EILSEQ, "d.json: is UTF-16" },
    { "not UTF-8", "{\"a\":\"\xe4\"}", -EILSEQ, "d.json:1:7: " },
};
/* clang-format on */

static struct json_text text_of(const char *s) { return (struct json_text){ s, strlen(s) }; }

static void check_merge(size_t i) {
    struct json_merged m, again;
    struct err e;
    int rc = daemon_json_merge(&m, "d.json", text_of(merges[i].in), merges[i].wants, &e);
    bool as_expected =
        merges[i].out ? rc == 1 && strcmp(m.text, merges[i].out) == 0 && m.len == strlen(m.text)
                      : rc == 0 && !m.text;
    OK(as_expected, "merge: %s", merges[i].what);
    if (!as_expected)
        printf("# rc %d, got <%s>\n", rc, m.text ? m.text : "(null)");
    OK(strcmp(m.diff, merges[i].diff) == 0, "  its diff is '%s'", m.diff);
    if (m.text) {
        rc = daemon_json_merge(&again, "d.json", text_of(m.text), merges[i].wants, &e);
        OK(rc == 0 && !again.text && !again.diff[0], "  a second merge changes nothing");
    }
    free(m.text);
}

static void check_refusal(size_t i) {
    struct json_merged m;
    struct err e = { 0 };
    int rc = daemon_json_merge(&m, "d.json", text_of(refusals[i].in), vfs, &e);
    OK(rc == refusals[i].code && !m.text && e.code == -rc, "refused: %s (%d)", refusals[i].what,
       rc);
    OK(strncmp(e.text, refusals[i].text, strlen(refusals[i].text)) == 0, "  says '%s'", e.text);
}

static void reads_values(void) {
    static const char text[] = "{\"data-root\":\"/d\",\"hosts\":[\"unix:///s\",\"tcp://:1\"],"
                               "\"iptables\":false,\"debug\":1,\"tls\":true,"
                               "\"data-root\":\"/e\",\"dns\":\"x\"}";
    struct daemon_json j;
    struct err e;
    OK(daemon_json_parse(&j, "d", text_of(text), &e) == 0, "parses");
    OK(strcmp(daemon_json_string(&j, "data-root"), "/e") == 0, "the last duplicate counts");
    OK(!daemon_json_string(&j, "iptables"), "a boolean is no text");
    OK(!daemon_json_string(&j, "missing"), "a missing key has no text");
    OK(strcmp(daemon_json_item(&j, "hosts", 1), "tcp://:1") == 0, "second item of a list");
    OK(!daemon_json_item(&j, "hosts", 2), "past the end of a list");
    OK(!daemon_json_item(&j, "dns", 0), "a text is no list");
    OK(daemon_json_bool(&j, "iptables") == 0 && daemon_json_bool(&j, "tls") == 1, "booleans");
    OK(daemon_json_bool(&j, "debug") == -1, "a number is no boolean");
    OK(daemon_json_has(&j, "debug") && !daemon_json_has(&j, "debu"), "has");
    daemon_json_free(&j);
    OK(!daemon_json_has(&j, "debug"), "an empty one has nothing");
    daemon_json_free(&j);
}

static void reads_lists(void) {
    static const char text[] =
        "{\"p\":[{\"base\":\"a\",\"size\":24},{\"Base\":\"b\",\"base\":\"c\"},5,{\"base\":7},{}],"
        "\"t\":\"x\",\"o\":{\"base\":\"d\"}}";
    struct daemon_json j;
    OK(daemon_json_parse(&j, "d", text_of(text), NULL) == 0, "a list of objects");
    OK(daemon_json_count(&j, "p") == 5 && daemon_json_count(&j, "t") == 0 &&
           daemon_json_count(&j, "o") == 0 && daemon_json_count(&j, "missing") == 0,
       "has a length, other values have none");
    OK(strcmp(daemon_json_field(&j, "p", 0, "base"), "a") == 0, "a field of the first");
    OK(strcmp(daemon_json_field(&j, "p", 1, "base"), "c") == 0, "in any case, and the last counts");
    OK(!daemon_json_field(&j, "p", 0, "size"), "a number is no text");
    OK(!daemon_json_field(&j, "p", 2, "base") && !daemon_json_field(&j, "p", 3, "base") &&
           !daemon_json_field(&j, "p", 4, "base") && !daemon_json_field(&j, "p", 5, "base"),
       "nor are other items, a missing field, and what is past the end");
    OK(!daemon_json_field(&j, "o", 0, "base") && !daemon_json_field(&j, "t", 0, "base"),
       "nor an object or a text in place of the list");
    daemon_json_free(&j);
    OK(daemon_json_count(&j, "p") == 0 && !daemon_json_field(&j, "p", 0, "base"),
       "an empty one has none");
}

/* clang-format off */
static const struct {
    const char *what, *base, *is;
    const struct json_want *wants;
    const char *diff;
} changes[] = {
    { "the same again", "{\"a\":1}", "{\"a\":1,\"storage-driver\": \"vfs\"}", vfs, "" },
    { "another value", "{\"a\":1}", "{\"a\":1,\"storage-driver\": \"zfs\"}", vfs, "- storage-driver: \"zfs\", + storage-driver: \"vfs\"" },
    { "not wanted any more", "", "{\"storage-driver\": \"vfs\"}", none, "- storage-driver: \"vfs\"" },
    { "one goes, others come", "{}", "{\"storage-driver\": \"vfs\"}", nat, "- storage-driver: \"vfs\", + iptables: false, + ip6tables: false" },
    { "the user's are not told", "{\"x\":1,\"x\":2}", "{\"x\":1,\"x\":2,\"iptables\":true}", nat, "- iptables: true, + iptables: false, + ip6tables: false" },
    { "a text that is none", "{", "[", vfs, "+ storage-driver: \"vfs\"" },
};
/* clang-format on */

static void tells_changes(void) {
    char diff[MAX_JSON_DIFF];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        daemon_json_changes(diff, text_of(changes[i].base), text_of(changes[i].is),
                            changes[i].wants);
        OK(strcmp(diff, changes[i].diff) == 0, "changes, %s: '%s'", changes[i].what, diff);
    }
    char value[2 * MAX_JSON_DIFF];
    memset(value, '1', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const struct json_want wide[] = { { "a", value }, { "b", value }, { NULL, NULL } };
    daemon_json_changes(diff, text_of(""), text_of("{}"), wide);
    OK(strlen(diff) == MAX_JSON_DIFF - 1 && strcmp(diff + MAX_JSON_DIFF - 4, "...") == 0,
       "a line that is too long says so");
    struct json_merged m;
    OK(daemon_json_merge(&m, "d", text_of(""), wide, NULL) == 1 &&
           strcmp(m.diff + MAX_JSON_DIFF - 4, "...") == 0 && strlen(m.text) > 4 * MAX_JSON_DIFF,
       "also of a merge, whose text is whole");
    free(m.text);
}

static char *big(size_t len) {
    char *text = malloc(len + 1);
    memset(text, ' ', len);
    text[len] = '\0';
    memcpy(text, "{\"a\":1", 6);
    text[len - 1] = '}';
    return text;
}

static void keeps_to_its_limit(void) {
    struct json_merged m;
    struct err e;
    char *text = big(MAX_DAEMON_JSON);
    OK(daemon_json_merge(&m, "d", text_of(text), none, &e) == 0, "a file of the largest size");
    OK(daemon_json_merge(&m, "d", text_of(text), vfs, &e) == -EFBIG && !m.text,
       "no room to add to it: %s", e.text);
    free(text);
    text = big(MAX_DAEMON_JSON + 1);
    OK(daemon_json_merge(&m, "d", text_of(text), none, &e) == -EFBIG, "one byte more: %s", e.text);
    memset(text, '[', MAX_DAEMON_JSON);
    struct json_text deep = { text, MAX_DAEMON_JSON };
    OK(daemon_json_merge(&m, "d", deep, none, &e) == -EINVAL, "a million brackets: %s", e.text);
    free(text);
}

int main(void) {
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++)
        check_merge(i);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_refusal(i);
    reads_values();
    reads_lists();
    tells_changes();
    keeps_to_its_limit();
    return tap_end();
}
