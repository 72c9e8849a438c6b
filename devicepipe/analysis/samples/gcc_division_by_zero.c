/* SPDX-License-Identifier: Apache-2.0 */
/* Must-fail sample: divides by zero. A compiler that does not warn was silenced (-Wdiv-by-zero, on by default). */

int devicepipe_sample_division(int value);

int devicepipe_sample_division(int value)
{
    return value / 0;
}
