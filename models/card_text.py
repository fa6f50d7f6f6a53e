"""The prose of the model card. It states no result: figures and verdicts are filled in by models/card.py."""

PURPOSE = """\
It estimates the probability that a patient who is referred for suspected coronary disease has a narrowing of over 50%
in a major vessel, from {feature_count} findings of the work-up."""

LIMITS = """\
- {patients} patients of four hospitals in the 1980s, most of them men. The threshold aims at 90% of all the ill,
  which is not 90% of the women who are ill: see the table of women and men.
- Everybody had angiography: healthier people are missing, and probabilities are too high for a general practice.
- In Switzerland 8 of 123 are not ill: specificity and AUC there rest on eight people.
- `slope`, `ca` and `thal` were measured at Cleveland and hardly elsewhere; what the model says of them is what
  Cleveland says.
- A probability for a site that was not in training needs recalibration on outcomes of that site before anybody relies
  on it.
- Nobody's race, treatment or later course is in the data; fairness beyond sex cannot be measured with it.
"""
"""Of the data that is shipped, a list."""

CARD = (
    """\
# Model card: heart-disease-uci

Made by `make model-card` (seed {seed}); do not edit. The code is models/fit.py (the model), models/evaluate.py (the
folds) and models/metrics.py (the figures).

## What it is for

"""
    + PURPOSE
    + """ It is there to show and to test a streaming inference
system on real patients.

**Not for**: treating anybody. It is no medical device, no clinician has validated it, and its patients were examined
in the 1980s. Not for screening of people without symptoms: everybody it learnt from had been referred for
angiography.

## What it is

A sum of one curve a feature (gradient boosting of stumps with early stopping, the mean of five runs),
Platt-calibrated on out-of-fold margins; the threshold is the highest that finds 90% of the ill out of fold, because
before a further test a missed disease costs more than a test too many. Missing values are drawn at random from the
observed ones in training and take the median in scoring. An event with more than {max_missing} of the {feature_count}
features missing gets the decision "insufficient data"; {unjudged} of these patients would, and are scored all the
same in the figures below.

What it learnt, all of it, for all patients (each curve against the value imputed for a gap):

![Contribution of each feature]({plots}/curves.svg)

## Data

UCI Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano, 1988, https://doi.org/10.24432/C52P4X, CC BY 4.0), SHA-256
`{sha256}`: {records} records, {patients} after repeats are left out, {positives} with disease.

{sites}

- Zeros that stand for "not measured" (all of Switzerland's cholesterol) are missing, not zero.
- A record that repeats another one in every column is left out, so that no patient is on both sides of a split. The
  1,025-row file that circulates holds 302 patients several times; accuracies of 99% on it are leakage.
- Record 304 is labelled Cleveland in the file and belongs to Hungary; it counts as Hungary.

## How it was measured

- **Cross-validated**: {folds}-fold, stratified, {repeats} times with other splits; a figure is the mean over the
  {repeats}. **Left-out site**: trained on three sites, tested on the fourth.
- Imputation, calibration and threshold are fitted inside each fold, for every model. All models see the same folds.
- In brackets: 95% intervals by bootstrap over patients ({resamples} resamples, percentiles, the same resamples for
  all models). They hold for the predictions as made; they leave out how much other training patients would have
  changed the model.
- Depth and learning rate were chosen on these same patients, among nine settings that differ by less than 0.01 in
  AUC: the cross-validated figures are too good by less than that.

## Cross-validated, all sites together

{cross_validated}

Logistic regression has median imputation, one column a code, and the same rule for its threshold; the majority class
says of everybody what holds for most of those it learnt from. Difference in AUC from logistic regression:
{difference}.

**These figures flatter every model.** The sites differ in how many are ill and in what they measured, so a model
scores well by telling the sites apart: logistic regression on nothing but *which values are missing* has an AUC of
{missing_auc}. CardioSentry's training hides the gaps (above), which costs it some of this AUC and is meant to. What
matters is how well patients of one site are told apart, here as cross-validated AUC:

{within_sites}

## Left-out site

What a hospital that is new to the model should expect.

{left_out_auc}

{left_out}

The ranking carries over better than the probability: a new site's share of ill patients is not known to the model.

{shares}

## Calibration

Eight bins of equal size; the bars are 95% Wilson intervals.

![Calibration, cross-validated and for the left-out site]({plots}/calibration.svg)

## Women and men (cross-validated)

{by_sex}

## Beside published figures

Accuracy at a threshold of 0.5, by tested site. Published: logistic regression of the FLamby benchmark (owkin/FLamby,
fed_heart_disease), on complete rows, mean of five seeds. Ours are on all {patients} patients, so the rows
differ, most of all in Long Beach and Switzerland, and the columns are comparable only roughly. For Cleveland alone
the original papers report 0.770 to 0.789.

{published}

Where most are ill, accuracy says little: compare with the majority class beside it.

## Limits

"""
    + LIMITS
)
