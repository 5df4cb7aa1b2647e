#include "frontgw/http/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int ip_parse(const char *text, struct ip *ret)
{
    struct ip ip;

    memcpy(ip.bytes, v4_prefix, sizeof(v4_prefix));
    if (inet_pton(AF_INET, text, ip.bytes + 12) != 1 && inet_pton(AF_INET6, text, ip.bytes) != 1)
        return -EINVAL;
    *ret = ip;
    return 0;
}

int ip_from_sockaddr(const struct sockaddr *address, struct ip *ret)
{
    if (address->sa_family == AF_INET) {
        memcpy(ret->bytes, v4_prefix, sizeof(v4_prefix));
        memcpy(ret->bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(ret->bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    } else {
        return -EAFNOSUPPORT;
    }
    return 0;
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

void ip_format(const struct ip *ip, char *ret, size_t size)
{
    bool v4 = ip_is_v4(ip);

    if (!inet_ntop(v4 ? AF_INET : AF_INET6, ip->bytes + (v4 ? 12 : 0), ret, (socklen_t)size) &&
        size > 0)
        *ret = '\0';
}

bool ip_is_loopback(const struct ip *ip)
{
    static const uint8_t one[16] = {[15] = 1};

    return memcmp(ip->bytes, one, 16) == 0 || (ip_is_v4(ip) && ip->bytes[12] == 127);
}

struct ip ip_client_key(const struct ip *ip)
{
    struct ip key = *ip;

    if (!ip_is_v4(ip))
        memset(key.bytes + 8, 0, 8);
    return key;
}

struct ip_net {
    struct ip base;
    unsigned bits; /* of 128 */
};

struct ip_nets {
    size_t n;
    struct ip_net nets[];
};

#define NETS_MAX 64

static int parse_net(const char *word, size_t len, struct ip_net *ret)
{
    char text[64];
    char *slash;

    if (len >= sizeof(text))
        return -EINVAL;
    memcpy(text, word, len);
    text[len] = '\0';
    slash = strchr(text, '/');
    if (slash)
        *slash++ = '\0';
    if (ip_parse(text, &ret->base) < 0)
        return -EINVAL;
    unsigned max = ip_is_v4(&ret->base) && strchr(text, '.') ? 32 : 128;
    char *end = slash;
    unsigned long bits = slash ? strtoul(slash, &end, 10) : max;
    if (bits > max || (slash && (*end || end == slash)))
        return -EINVAL;
    ret->bits = (unsigned)bits + 128 - max;
    return 0;
}

int ip_nets_new(const char *text, struct ip_nets **ret, struct err *err)
{
    struct ip_nets *nets = calloc(1, sizeof(*nets) + NETS_MAX * sizeof(nets->nets[0]));

    if (!nets)
        return err_set(err, -ENOMEM, "list of networks: %m");
    for (const char *p = text ? text : ""; *p;) {
        size_t len = strcspn(p, " ,\t");
        if (len && (nets->n == NETS_MAX || parse_net(p, len, &nets->nets[nets->n++]) < 0)) {
            ip_nets_free(nets);
            return err_set(err, -EINVAL, "not a network: %.*s", (int)len, p);
        }
        p += len + (p[len] != '\0');
    }
    *ret = nets;
    return 0;
}

struct ip_nets *ip_nets_free(struct ip_nets *nets)
{
    free(nets);
    return NULL;
}

static bool in_net(const struct ip_net *net, const struct ip *ip)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    if (memcmp(net->base.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((net->base.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}

bool ip_nets_has(const struct ip_nets *nets, const struct ip *ip)
{
    for (size_t i = 0; nets && i < nets->n; i++) {
        if (in_net(&nets->nets[i], ip))
            return true;
    }
    return false;
}

struct ip ip_client_of(const struct ip *peer, const char *forwarded_for,
                       const struct ip_nets *trusted)
{
    struct ip client = *peer;
    size_t end = forwarded_for ? strlen(forwarded_for) : 0;

    while (end > 0 && ip_nets_has(trusted, &client)) {
        size_t start = end;
        while (start > 0 && forwarded_for[start - 1] != ',')
            start--;
        size_t from = start;
        while (from < end && forwarded_for[from] == ' ')
            from++;
        size_t to = end;
        while (to > from && forwarded_for[to - 1] == ' ')
            to--;
        char text[INET6_ADDRSTRLEN];
        if (to - from >= sizeof(text))
            break;
        memcpy(text, forwarded_for + from, to - from);
        text[to - from] = '\0';
        struct ip next;
        if (ip_parse(text, &next) < 0)
            break;
        client = next;
        end = start > 0 ? start - 1 : 0;
    }
    return client;
}

/* Open addressing with linear probing; entries of count 0 are free; grown at half. */
struct count {
    struct ip ip;
    unsigned n;
};

struct addresses {
    pthread_mutex_t lock;
    struct count *table;
    size_t size, used; /* size: a power of two */
};

static size_t slot_of(const struct count *table, size_t size, const struct ip *ip)
{
    uint64_t high, low;

    memcpy(&high, ip->bytes, 8);
    memcpy(&low, ip->bytes + 8, 8);
    size_t i =
        (size_t)((high * UINT64_C(0x9e3779b97f4a7c15) ^ low) * UINT64_C(0xff51afd7ed558ccd) >> 32) &
        (size - 1);
    while (table[i].n && memcmp(&table[i].ip, ip, sizeof(*ip)) != 0)
        i = (i + 1) & (size - 1);
    return i;
}

int addresses_new(struct addresses **ret, struct err *err)
{
    struct addresses *a = calloc(1, sizeof(*a));

    if (a) {
        a->size = 256;
        a->table = calloc(a->size, sizeof(*a->table));
    }
    if (!a || !a->table) {
        free(a);
        return err_set(err, -ENOMEM, "table of addresses: %m");
    }
    pthread_mutex_init(&a->lock, NULL);
    *ret = a;
    return 0;
}

struct addresses *addresses_free(struct addresses *a)
{
    if (!a)
        return NULL;
    pthread_mutex_destroy(&a->lock);
    free(a->table);
    free(a);
    return NULL;
}

static bool grow(struct addresses *a)
{
    struct count *table = calloc(2 * a->size, sizeof(*table));

    if (!table)
        return false;
    for (size_t i = 0; i < a->size; i++) {
        if (a->table[i].n)
            table[slot_of(table, 2 * a->size, &a->table[i].ip)] = a->table[i];
    }
    free(a->table);
    a->table = table;
    a->size *= 2;
    return true;
}

bool addresses_enter(struct addresses *a, const struct ip *ip, unsigned max)
{
    struct ip key = ip_client_key(ip);
    bool ok = false;

    pthread_mutex_lock(&a->lock);
    struct count *count = &a->table[slot_of(a->table, a->size, &key)];
    if (count->n == 0 && 2 * (a->used + 1) > a->size)
        count = grow(a) ? &a->table[slot_of(a->table, a->size, &key)] : NULL;
    if (count && count->n < max) {
        if (count->n++ == 0) {
            count->ip = key;
            a->used++;
        }
        ok = true;
    }
    pthread_mutex_unlock(&a->lock);
    return ok;
}

/* Take a slot out and close the gap, so that probing finds what stood behind it. */
static void remove_slot(struct addresses *a, size_t hole)
{
    a->table[hole].n = 0;
    a->used--;
    for (size_t i = (hole + 1) & (a->size - 1); a->table[i].n; i = (i + 1) & (a->size - 1)) {
        struct count moved = a->table[i];
        a->table[i].n = 0;
        a->table[slot_of(a->table, a->size, &moved.ip)] = moved;
    }
}

void addresses_leave(struct addresses *a, const struct ip *ip)
{
    struct ip key = ip_client_key(ip);

    pthread_mutex_lock(&a->lock);
    size_t i = slot_of(a->table, a->size, &key);
    if (a->table[i].n == 1)
        remove_slot(a, i);
    else if (a->table[i].n > 1)
        a->table[i].n--;
    pthread_mutex_unlock(&a->lock);
}
