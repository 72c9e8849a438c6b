/* SPDX-License-Identifier: Apache-2.0 */
/* Must-fail sample: a pointer that is null on one way is dereferenced there (-Wanalyzer-null-dereference). */

int devicepipe_sample_way(const int *value, int known);

int devicepipe_sample_way(const int *value, int known)
{
    const int *chosen = 0;

    if (known != 0) {
        chosen = value;
    }
    return *chosen;
}
