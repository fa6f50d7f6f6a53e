"""The feature table of the UCI heart-disease model: the original codes as numbers.

Names, units and codes: Janosi, Steinbrunn, Pfisterer, Detrano, Heart Disease, UCI Machine Learning Repository, 1988,
https://doi.org/10.24432/C52P4X. Hard ranges are what a living adult's measurement can be; usual ranges cover at least
99% of the 920 patients. The order of the columns is the order of the model's inputs.
"""

from contracts.features import Feature, FeatureTable, Limit

_YES_NO = {"0": "no", "1": "yes"}

HEART_DISEASE = FeatureTable(
    name="heart-disease-uci",
    version=1,
    max_missing=6,
    limits=(
        # 208 - 0.7 age is the mean of healthy adults, with a standard deviation of about 10 (Tanaka, Monahan, Seals,
        # Age-Predicted Maximal Heart Rate Revisited, 2001); the highest of the 920 patients is 233.
        Limit(title="a heart rate that no one of that age has", weights={"thalch": 1, "age": 0.7}, most=245),
    ),
    needs={"slope": "oldpeak", "exang": "thalch"},
    features=(
        Feature(name="age", title="Age", unit="years", hard=(18, 120), usual=(29, 77), steady=1),
        Feature(
            name="sex",
            title="Sex",
            unit="code",
            hard=(0, 1),
            usual=(0, 1),
            codes={"0": "female", "1": "male"},
            steady=0,
        ),
        Feature(
            name="cp",
            title="Chest pain type",
            unit="code",
            hard=(1, 4),
            usual=(1, 4),
            codes={"1": "typical angina", "2": "atypical angina", "3": "non-anginal", "4": "asymptomatic"},
        ),
        Feature(
            name="trestbps",
            title="Resting blood pressure",
            unit="mmHg",
            hard=(40, 300),
            usual=(92, 192),
            zero_is_missing=True,
        ),
        Feature(
            name="chol",
            title="Serum cholesterol",
            unit="mg/dL",
            hard=(40, 1000),
            usual=(110, 468),
            zero_is_missing=True,
        ),
        Feature(
            name="fbs",
            title="Fasting blood sugar over 120 mg/dL",
            unit="code",
            hard=(0, 1),
            usual=(0, 1),
            codes=_YES_NO,
        ),
        Feature(
            name="restecg",
            title="Resting electrocardiogram",
            unit="code",
            hard=(0, 2),
            usual=(0, 2),
            codes={"0": "normal", "1": "ST-T abnormality", "2": "left ventricular hypertrophy"},
        ),
        Feature(name="thalch", title="Maximum heart rate", unit="1/min", hard=(30, 250), usual=(69, 190)),
        Feature(
            name="exang",
            title="Exercise-induced angina",
            unit="code",
            hard=(0, 1),
            usual=(0, 1),
            codes=_YES_NO,
        ),
        Feature(name="oldpeak", title="ST depression by exercise", unit="mm", hard=(-10, 15), usual=(-1, 5)),
        Feature(
            name="slope",
            title="Slope of the peak exercise ST segment",
            unit="code",
            hard=(1, 3),
            usual=(1, 3),
            codes={"1": "upsloping", "2": "flat", "3": "downsloping"},
        ),
        Feature(
            name="ca",
            title="Major vessels coloured by fluoroscopy",
            unit="count",
            hard=(0, 3),
            usual=(0, 3),
            codes={"0": "0", "1": "1", "2": "2", "3": "3"},
        ),
        Feature(
            name="thal",
            title="Thallium stress test",
            unit="code",
            hard=(3, 7),
            usual=(3, 7),
            codes={"3": "normal", "6": "fixed defect", "7": "reversible defect"},
        ),
    ),
)
