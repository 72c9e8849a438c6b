/* SPDX-License-Identifier: Apache-2.0 */
/* Must-fail sample: a loop whose condition never changes (bugprone-infinite-loop). */

int devicepipe_sample_loop(int value);

int devicepipe_sample_loop(int value)
{
    int step = 0;
    int sum = 0;

    while (step < 10) {
        sum += value;
    }
    return sum;
}
