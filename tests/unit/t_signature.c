#include "channel/e2b/signature.h"

#include <string.h>

#include "tests/unit/tap.h"

/* Made by another implementation (Python's hashlib and base64). */
static const struct {
    struct signed_file file;
    const char *token, *signature;
} rows[] = {
    { { "/home/user/a.txt", "read", "", false, 0 },
      "ea_token",
      "v1_lGqERR51HF9+LOdLmrRie5tRCMAAXylfxtR8nkwGGYo" },
    { { "/home/user/a.txt", "write", "", false, 0 },
      "ea_token",
      "v1_1Slrq37P6pHQ2+QmzWytsi73iBauPN0A5T1hPnqbAig" },
    { { "/home/user/a.txt", "read", "root", false, 0 },
      "ea_token",
      "v1_8atQCjvLF3HRrUO/hO7Va+bhWwszr1Q9q1oZnj9OaQA" },
    { { "", "write", "user", true, 1764144000 },
      "ea_token",
      "v1_wX6Z2/fhlpE6nPkBpmQNOuAifHZDOhN3u+Ag6YjiCww" },
    { { "/tmp/\xc3\xbc b+c.txt", "read", "user", true, 0 },
      "t0k3n:with:colons",
      "v1_FweUHu4DMOqQHACN9Jnhd4iSvIjDfctxNDsZjyzRCgs" },
    { { "a", "read", "", true, -1 }, "x", "v1_ET4iClxoEXnF+49xc5Br1HbESWMBjBuJdhSk77KbRDw" },
};
enum { NROWS = sizeof rows / sizeof rows[0] };

static bool is(const char *fault, const char *words) { return fault && strcmp(fault, words) == 0; }

static void test_vectors(void) {
    for (size_t i = 0; i < NROWS; i++) {
        char out[SIGNATURE_TEXT];
        signature_make(out, &rows[i].file, rows[i].token);
        OK(strcmp(out, rows[i].signature) == 0, "%s of %s: %s", rows[i].file.operation,
           rows[i].file.path, out);
        OK(!signature_fault(rows[i].signature, &rows[i].file, rows[i].token, -1), "it is right");
    }
}

static void test_wrong(void) {
    static const char wrong[] = "invalid signature";
    for (size_t i = 0; i < NROWS; i++)
        for (size_t j = 0; j < NROWS; j++)
            if (i != j &&
                !is(signature_fault(rows[j].signature, &rows[i].file, rows[i].token, -1), wrong))
                OK(false, "the signature of row %zu is none of row %zu", j, i);
    const struct signed_file *f = &rows[0].file;
    const char *token = rows[0].token, *right = rows[0].signature;
    char other[SIGNATURE_TEXT + 8];
    size_t n = strlen(right), good = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(other, right, n + 1);
        other[i] ^= 1;
        good += !is(signature_fault(other, f, token, 0), wrong);
        other[i] = '\0'; /* shorter */
        good += !is(signature_fault(other, f, token, 0), wrong);
    }
    OK(good == 0, "neither another byte nor a beginning of it will do");
    memcpy(other, right, n);
    memcpy(other + n, "=", 2);
    OK(is(signature_fault(other, f, token, 0), wrong), "nor with its padding");
    OK(is(signature_fault(right, f, "ea_tokem", 0), wrong), "nor with another token");
    OK(is(signature_fault("", f, token, 0), wrong), "an empty one is wrong");
    OK(is(signature_fault(NULL, f, token, 0), "missing signature query parameter"), "none is told");
}

static void test_expiry(void) {
    const struct signed_file *f = &rows[3].file;
    const char *token = rows[3].token, *right = rows[3].signature;
    OK(!signature_fault(right, f, token, 1764144000), "good up to its second");
    OK(is(signature_fault(right, f, token, 1764144001), "signature is already expired"),
       "and not after it");
    OK(is(signature_fault("v1_x", f, token, 1764144001), "invalid signature"),
       "whether a wrong one has expired is not told");
    OK(!signature_fault(rows[0].signature, &rows[0].file, rows[0].token, INT64_MAX),
       "without an expiry it is good for ever");
}

int main(void) {
    test_vectors();
    test_wrong();
    test_expiry();
    return tap_end();
}
