#include "channel/e2b/signature.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

static void add(SHA2_CTX *c, const char *before, const char *text) {
    SHA256Update(c, (const unsigned char *)before, strlen(before));
    SHA256Update(c, (const unsigned char *)text, strlen(text));
}

void signature_make(char out[SIGNATURE_TEXT], const struct signed_file *f, const char *token) {
    unsigned char sum[SHA256_DIGEST_LENGTH];
    char text[44], expiry[24];
    SHA2_CTX c;
    SHA256Init(&c);
    add(&c, "", f->path);
    add(&c, ":", f->operation);
    add(&c, ":", f->user);
    add(&c, ":", token);
    (void)snprintf(expiry, sizeof expiry, "%lld", (long long)f->expiry);
    if (f->expires)
        add(&c, ":", expiry);
    SHA256Final(sum, &c);
    base64_encode(sum, sizeof sum, text);
    (void)snprintf(out, SIGNATURE_TEXT, "v1_%.43s", text); /* its last one is the padding */
}

/* Every byte is looked at, whatever the earlier ones were. */
static bool is_signature(const char *given, const char right[SIGNATURE_TEXT]) {
    size_t n = strlen(given);
    unsigned differ = n != SIGNATURE_TEXT - 1;
    for (size_t i = 0; i < n && i < SIGNATURE_TEXT - 1; i++)
        differ |= (unsigned char)(given[i] ^ right[i]);
    return differ == 0;
}

const char *signature_fault(const char *given, const struct signed_file *f, const char *token,
                            int64_t now) {
    char right[SIGNATURE_TEXT];
    if (!given)
        return "missing signature query parameter";
    signature_make(right, f, token);
    if (!is_signature(given, right))
        return "invalid signature";
    return f->expires && f->expiry < now ? "signature is already expired" : NULL;
}
